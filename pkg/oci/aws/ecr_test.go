package aws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// TestLogin exchanges keys, with what AWS answers to good and bad ones.
func TestLogin(t *testing.T) {
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	const hour = time.Hour
	for _, tc := range []struct {
		name, registry string
		status         int
		text           string
		kind           anchore.Kind // Internal: a login comes
		words          string
		login          bool // because of the key
		life           time.Duration
	}{
		{name: "good", text: fmt.Sprintf(`{"authorizationData":[{"authorizationToken":"QVdTOmlzc3VlZA==","expiresAt":%d.5}]}`, in(12*hour)), life: 12 * hour},
		{name: "for long", text: fmt.Sprintf(`{"authorizationData":[{"authorizationToken":"QVdTOmlzc3VlZA==","expiresAt":%d}]}`, in(1000*hour)), life: 24 * hour},
		{name: "wrong key", status: 400, text: `{"__type":"UnrecognizedClientException"}`, kind: anchore.Unauthorized, words: `"AKIAGOOD"`, login: true},
		{name: "no right", status: 403, text: `{}`, kind: anchore.Forbidden, words: `user "AKIAGOOD"`},
		{name: "too often", status: 400, text: `{"__type":"ThrottlingException"}`, kind: anchore.Unavailable, words: "status 400"},
		{name: "down", status: 503, text: `sorry`, kind: anchore.Unavailable, words: "status 503"},
		{name: "no login", text: `{"authorizationData":[]}`, kind: anchore.Unavailable, words: "did not answer with a login"},
		{name: "endless", text: strings.Repeat(" ", maxAnswer+1), kind: anchore.Invalid, words: "more than"},
		{name: "not AWS", registry: "registry.example.com", kind: anchore.Invalid, words: "not that of an AWS registry"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			service := doer(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Method + " " + r.URL.String(); got != "POST https://api.ecr.eu-west-1.amazonaws.com/" {
					t.Errorf("asked %s", got)
				}
				if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential=AKIAGOOD/") || r.Header.Get("User-Agent") != "test" {
					t.Errorf("asked with %v", r.Header)
				}
				w.WriteHeader(cmp.Or(tc.status, http.StatusOK))
				_, _ = w.Write([]byte(tc.text))
			})
			q := question
			q.Ref.Registry = cmp.Or(tc.registry, registry)
			got, err := Exchange{AWS: service, Timeout: time.Minute, UserAgent: "test"}.Login(t.Context(), q, Key{ID: "AKIAGOOD", Secret: "s3cret"})
			if tc.kind == anchore.Internal {
				if err != nil || got.User != "AWS" || got.Password != "issued" || got.Life > tc.life || got.Life < tc.life-time.Minute {
					t.Errorf("Login: user %q for %v, %v; want AWS for %v", got.User, got.Life, err, tc.life)
				}
				return
			}
			if anchore.KindOf(err) != tc.kind || !strings.Contains(anchore.MessageOf(err), tc.words) || errors.Is(err, answer.ErrLogin) != tc.login {
				t.Errorf("Login: %v; want %v with %q", err, tc.kind, tc.words)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("error %q holds the key", err)
			}
		})
	}
}

// TestSign compares with the signatures that AWS's own library makes of this
// request (aws-sdk-go-v2 1.44.0).
func TestSign(t *testing.T) {
	for session, want := range map[anchore.Secret]string{
		"":              "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=1fd2044a304bafe76a50e1eda362bcb566c2ca0eff56e6304d993a59fcc67fc8",
		"session-token": "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=fee41efe7860b001f2ecfaf9b06dd2ccc36cc955451537b024ff5d655c99a091",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.ecr.eu-west-1.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
		key := Key{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Session: session}
		sign(req, []byte("{}"), key, "eu-west-1", "ecr", time.Date(2021, 6, 1, 12, 0, 0, 0, time.UTC))
		want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20210601/eu-west-1/ecr/aws4_request, " + want
		if got := req.Header.Get("Authorization"); got != want {
			t.Errorf("session %q: signature\n%s, want\n%s", session.Reveal(), got, want)
		}
	}
}

// FuzzReadLogin: a login is made of nothing but an answer that holds one.
func FuzzReadLogin(f *testing.F) {
	f.Add(`{"authorizationData":[{"authorizationToken":"QVdTOmlzc3VlZA==","expiresAt":1.6e9}]}`)
	f.Add(`{"authorizationData":[{"authorizationToken":"QVdT","expiresAt":-1e300}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		login, err := readLogin(answer.Question{Op: "test"}, []byte(text))
		if err == nil && (!strings.Contains(text, "authorizationToken") && !strings.Contains(strings.ToLower(text), "authorizationtoken") || login.Life > 24*time.Hour) {
			t.Errorf("%q gives user %q for %v", text, login.User, login.Life)
		}
		if err != nil && anchore.KindOf(err) != anchore.Unavailable {
			t.Errorf("%q: %v", text, err)
		}
	})
}
