package aws

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

const registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

var question = answer.Question{Op: "aws.Test", Ref: anchore.Reference{Registry: registry, Repository: "team/app", Tag: "1"}, Method: "HEAD", Path: "manifests/1"}

// doer answers what it is asked as a handler does.
type doer func(w http.ResponseWriter, r *http.Request)

func (d doer) Do(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d(rec, r)
	return rec.Result(), nil
}

// services are those of a host: their answers by method and URL, given to requests
// with a header that they want.
type services map[string]struct{ header, value, text string }

func (s services) doer(asked *[]string) doer {
	return func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.String())
		a, known := s[r.Method+" "+r.URL.String()]
		if !known || r.Header.Get(a.header) != a.value {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(a.text))
	}
}

const roleKey = `{"Code":"Success","AccessKeyId":"ASIAROLE","SecretAccessKey":"secret","Token":"session"}`

// TestHostKey looks where AWS's own tools look, and nowhere else.
func TestHostKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	role := Key{ID: "ASIAROLE", Secret: "secret", Session: "session"}
	const instance = "http://169.254.169.254/latest/"
	onInstance := services{
		"PUT " + instance + "api/token":                                      {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300", "metadata-token"},
		"GET " + instance + "meta-data/iam/security-credentials/":            {"X-Aws-Ec2-Metadata-Token", "metadata-token", "engine-role\n"},
		"GET " + instance + "meta-data/iam/security-credentials/engine-role": {"X-Aws-Ec2-Metadata-Token", "metadata-token", roleKey},
	}
	inContainer := services{
		"GET http://169.254.170.2/v2/credentials":     {"Authorization", "", roleKey},
		"GET http://169.254.170.23/v1/credentials":    {"Authorization", "from-file", roleKey},
		"GET http://localhost:1234/credentials":       {"Authorization", "from-env", roleKey},
		"GET https://keys.example.com/v1/credentials": {"Authorization", "from-env", roleKey},
	}
	const relative, full, token, tokenFile = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
	for _, tc := range []struct {
		name  string
		env   map[string]string
		host  services
		want  Key // zero: Unauthorized
		asked int
	}{
		{name: "environment", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s"}, host: onInstance, want: Key{ID: "AKIA", Secret: "s"}},
		{name: "half of a key", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA"}, host: onInstance, want: role, asked: 3},
		{name: "ECS", env: map[string]string{relative: "/v2/credentials"}, host: inContainer, want: role, asked: 1},
		{name: "EKS", env: map[string]string{full: "http://169.254.170.23/v1/credentials", token: "from-env", tokenFile: file}, host: inContainer, want: role, asked: 1},
		{name: "loopback", env: map[string]string{full: "http://localhost:1234/credentials", token: "from-env"}, host: inContainer, want: role, asked: 1},
		{name: "TLS", env: map[string]string{full: "https://keys.example.com/v1/credentials", token: "from-env"}, host: inContainer, want: role, asked: 1},
		{name: "plain HTTP elsewhere", env: map[string]string{full: "http://keys.example.com/v1/credentials"}, host: onInstance, want: role, asked: 3},
		{name: "wrong token", env: map[string]string{full: "http://localhost:1234/credentials", token: "other"}, host: inContainer, asked: 1},
		{name: "instance", host: onInstance, want: role, asked: 3},
		{name: "no role", asked: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", relative, full, token, tokenFile} {
				t.Setenv(name, tc.env[name])
			}
			var asked []string
			got, err := Exchange{Host: tc.host.doer(&asked)}.HostKey(t.Context(), question)
			if diff := cmp.Diff(tc.want, got); diff != "" || len(asked) != tc.asked {
				t.Errorf("HostKey (-want +got):\n%safter %q", diff, asked)
			}
			if (err != nil) != (tc.want == Key{}) || err != nil && anchore.KindOf(err) != anchore.Unauthorized {
				t.Errorf("HostKey: %v", err)
			}
		})
	}
}
