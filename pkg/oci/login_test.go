package oci_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

func TestPing(t *testing.T) {
	good, bad := oci.Credential{Username: "user", Password: "correct-horse"}, oci.Credential{Username: "user", Password: "wrong-mule"}
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	for _, tc := range []struct {
		name string
		cfg  ocitest.Config
		cred oci.Credential
		host string
		want string
	}{
		{name: "open", want: ""},
		{name: "open with a login", cred: good, want: ""},
		{name: "basic", cfg: ocitest.Config{Auth: ocitest.Basic}, cred: good},
		{name: "basic, wrong", cfg: ocitest.Config{Auth: ocitest.Basic}, cred: bad, want: "unauthorized"},
		{name: "basic, anonymous", cfg: ocitest.Config{Auth: ocitest.Basic}},
		{name: "token", cfg: ocitest.Config{Auth: ocitest.Token}, cred: good},
		{name: "token, wrong", cfg: ocitest.Config{Auth: ocitest.Token}, cred: bad, want: "unauthorized"},
		{name: "TLS of a stranger", cfg: ocitest.Config{TLS: true}, cred: good, want: "unavailable"},
		{name: "TLS, insecure", cfg: ocitest.Config{TLS: true, Auth: ocitest.Basic}, cred: oci.Credential{Username: "user", Password: "correct-horse", Insecure: true}},
		{name: "no registry", host: elsewhere.Listener.Addr().String(), want: "not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.User, tc.cfg.Password = "user", "correct-horse"
			srv := ocitest.StartWith(t, tc.cfg)
			host := srv.Host()
			if tc.host != "" {
				host = tc.host
			}
			err := newClient(t, oci.Config{}).Ping(t.Context(), host, tc.cred)
			got := ""
			if err != nil {
				got = anchore.KindOf(err).String()
			}
			if got != tc.want {
				t.Errorf("Ping: %v, want %q", err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "mule")) {
				t.Errorf("error %q holds a password", err)
			}
		})
	}
}

// told notes what is said of logins.
type told struct {
	mu   sync.Mutex
	said []string
}

func (l *told) say(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) == 0 || l.said[len(l.said)-1] != what {
		l.said = append(l.said, what)
	}
}

func (l *told) LoginRefused(_ context.Context, account string, _ anchore.Reference, cred oci.Credential, reason string) {
	if !strings.Contains(reason, cred.Username) || strings.Contains(reason, cred.Password.Reveal()) {
		l.say("bad reason " + reason)
	}
	l.say("refused " + account)
}

func (l *told) LoginAccepted(_ context.Context, account string, _ anchore.Reference, _ oci.Credential) {
	l.say("accepted " + account)
}

// TestLoginsAreTold: a wrong password is told, a missing right or tag is not.
func TestLoginsAreTold(t *testing.T) {
	for _, kind := range []ocitest.Auth{ocitest.Basic, ocitest.Token} {
		srv := ocitest.StartWith(t, ocitest.Config{Auth: kind, User: "user", Password: "correct-horse"})
		ref := mustRef(t, srv.Push(t, "team/app:latest", oldImage))
		logins := &told{}
		c := newClient(t, oci.Config{Credentials: admin, Logins: logins})
		for _, account := range []string{"admin", "nobody", "other", "admin"} {
			_, _ = c.Head(t.Context(), account, ref) // what it says of the login is what counts
		}
		remove := srv.Inject(ocitest.Fault{Path: "/manifests/", Status: 403})
		_, _ = c.Head(t.Context(), "other", ref)
		_, _ = c.Head(t.Context(), "admin", ref)
		remove()
		want := []string{"accepted admin", "refused other", "accepted admin"}
		if kind == ocitest.Token {
			want = append(want, "refused other")
		}
		if diff := cmp.Diff(want, logins.said); diff != "" {
			t.Errorf("auth %d (-want +got):\n%s", kind, diff)
		}
	}
}

// switching has one credential that changes.
type switching struct {
	mu   sync.Mutex
	cred oci.Credential
}

func (s *switching) Credential(context.Context, string, anchore.Reference) (oci.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cred, nil
}

func (s *switching) set(cred oci.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cred = cred
}

// TestNewPasswordTakesEffectAtOnce: no token of the password before is used again.
func TestNewPasswordTakesEffectAtOnce(t *testing.T) {
	for _, kind := range []ocitest.Auth{ocitest.Basic, ocitest.Token} {
		srv := ocitest.StartWith(t, ocitest.Config{Auth: kind, User: "user", Password: "correct-horse"})
		ref := mustRef(t, srv.Push(t, "team/app:latest", oldImage))
		creds := &switching{}
		c := newClient(t, oci.Config{Credentials: creds})
		for i, tc := range []struct {
			password anchore.Secret
			want     string
		}{{"wrong-mule", "unauthorized"}, {"correct-horse", "old"}, {"wrong-mule", "unauthorized"}, {"correct-horse", "old"}} {
			creds.set(oci.Credential{Username: "user", Password: tc.password})
			if got := head(t, c, ref.String()); got != tc.want {
				t.Errorf("auth %d, step %d: %s, want %s", kind, i, got, tc.want)
			}
		}
	}
}

// TestInsecureIsForOneCredential: that one account takes any certificate makes no
// other do so.
func TestInsecureIsForOneCredential(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TLS: true})
	ref := mustRef(t, srv.Push(t, "team/app:latest", oldImage))
	c := newClient(t, oci.Config{Credentials: logins{"careless": {Username: "u", Password: "p", Insecure: true}, "careful": {Username: "u", Password: "p"}}})
	for range 2 {
		if got, err := c.Head(t.Context(), "careless", ref); err != nil || got != oldImage.Digest {
			t.Errorf("careless: %q, %v", got, err)
		}
		if _, err := c.Head(t.Context(), "careful", ref); anchore.KindOf(err) != anchore.Unavailable {
			t.Errorf("careful: %v, want unavailable", err)
		}
	}
	one, err1 := c.Identity(t.Context(), "careless", ref)
	two, err2 := c.Identity(t.Context(), "careful", ref)
	if one == two || err1 != nil || err2 != nil {
		t.Errorf("both share the identity %q: %v, %v", one, err1, err2)
	}
}

func TestInsecureApprovesPlainHTTP(t *testing.T) {
	srv := ocitest.NewHandler(ocitest.Config{Auth: ocitest.Basic, User: "user", Password: "correct-horse"})
	srv.Push(t, "team/app:latest", oldImage)
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "https" {
			return nil, fmt.Errorf("http: server gave HTTP response to HTTPS client")
		}
		return srv.Transport().RoundTrip(r)
	})
	c := newClient(t, oci.Config{Transport: transport, Credentials: logins{
		"careless": {Username: "user", Password: "correct-horse", Insecure: true}, "careful": {Username: "user", Password: "correct-horse"},
	}})
	ref := mustRef(t, "10.0.0.1:5000/team/app:latest")
	if got, err := c.Head(t.Context(), "careless", ref); err != nil || got != oldImage.Digest {
		t.Errorf("careless: %q, %v", got, err)
	}
	if _, err := c.Head(t.Context(), "careful", ref); anchore.KindOf(err) != anchore.Unavailable {
		t.Errorf("careful: %v, want unavailable", err)
	}
}

func TestRootCAsForAll(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TLS: true})
	ref := mustRef(t, srv.Push(t, "team/app:latest", oldImage))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(srv.CA())
	if got := head(t, newClient(t, oci.Config{RootCAs: pool}), ref.String()); got != "old" {
		t.Errorf("with the CA: %s", got)
	}
}

// TestAmbient reads a docker configuration file, as the engine's host may have one,
// and only for the credential that asks for it.
func TestAmbient(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Basic, User: "user", Password: "correct-horse"})
	ref := mustRef(t, srv.Push(t, "team/app:latest", oldImage))
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	login := base64.StdEncoding.EncodeToString([]byte("user:correct-horse"))
	doc, err := json.Marshal(map[string]any{"auths": map[string]any{srv.Host(): map[string]any{"auth": login}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), doc, 0o600); err != nil {
		t.Fatal(err)
	}
	ambient := oci.Credential{Username: "awsauto", Password: "awsauto", Kind: oci.AmbientLogin}
	accounts := logins{"asks": ambient}
	allowed := newClient(t, oci.Config{Credentials: accounts, Ambient: true})
	if got, err := allowed.Head(t.Context(), "asks", ref); err != nil || got != oldImage.Digest {
		t.Errorf("who asks for it: %q, %v", got, err)
	}
	if _, err := allowed.Head(t.Context(), "does not", ref); anchore.KindOf(err) != anchore.Unauthorized {
		t.Errorf("who does not: %v, want unauthorized", err)
	}
	if _, err := newClient(t, oci.Config{Credentials: accounts}).Head(t.Context(), "asks", ref); anchore.KindOf(err) != anchore.Forbidden || !errors.Is(err, anchore.ErrNotAsked) {
		t.Errorf("where it is not allowed: %v, want forbidden, and that the registry was not asked", err)
	}
	if err := newClient(t, oci.Config{}).Ping(t.Context(), srv.Host(), ambient); !strings.HasPrefix(anchore.MessageOf(err), "'awsauto' is not enabled in service configuration") {
		t.Errorf("Ping where it is not allowed: %v", err)
	}
	if err := allowed.Ping(t.Context(), "registry.example.com", ambient); anchore.KindOf(err) != anchore.Unauthorized {
		t.Errorf("a registry that the host has nothing for: %v, want unauthorized", err)
	}
}

// TestECR exchanges an access key, once, and again when the key is changed.
func TestECR(t *testing.T) {
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	srv := ocitest.NewHandler(ocitest.Config{Auth: ocitest.Basic, User: "AWS", Password: "issued"})
	srv.Push(t, "team/app:latest", oldImage)
	exchanges := 0
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == host {
			return srv.Transport().RoundTrip(r)
		}
		exchanges++
		rec := httptest.NewRecorder()
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIAGOOD/") {
			rec.WriteHeader(400)
			_, _ = rec.WriteString(`{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
			return rec.Result(), nil
		}
		token := base64.StdEncoding.EncodeToString([]byte("AWS:issued"))
		_, _ = fmt.Fprintf(rec, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d.5}]}`, token, time.Now().Add(12*time.Hour).Unix())
		return rec.Result(), nil
	})
	creds := &switching{cred: oci.Credential{Username: "AKIAGOOD", Password: "secret", Kind: oci.ECRLogin}}
	logins := &told{}
	c := newClient(t, oci.Config{Credentials: creds, Transport: transport, Logins: logins})
	for range 3 {
		if got := head(t, c, host+"/team/app:latest"); got != "old" {
			t.Fatalf("the image is %s", got)
		}
	}
	if exchanges != 1 {
		t.Errorf("%d exchanges, want 1", exchanges)
	}
	creds.set(oci.Credential{Username: "AKIABAD", Password: "secret", Kind: oci.ECRLogin})
	if got := head(t, c, host+"/team/app:latest"); got != "unauthorized" {
		t.Errorf("with a wrong key the image is %s", got)
	}
	if diff := cmp.Diff([]string{"accepted admin", "refused admin"}, logins.said); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
	if got := head(t, c, "registry.example.com/team/app:latest"); got != "invalid" {
		t.Errorf("a registry that is not AWS's: %s, want invalid", got)
	}
}

// TestProxy tunnels through an HTTP proxy, as the environment's variables would
// have it; loopback addresses are never sent there by themselves.
func TestProxy(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TLS: true, Auth: ocitest.Token, User: "user", Password: "correct-horse"})
	srv.Push(t, "team/app:latest", oldImage)
	var mu sync.Mutex
	through := map[string]bool{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		through[r.Method+" "+r.Host] = true
		mu.Unlock()
		there, err := net.Dial("tcp", srv.Host())
		if err != nil {
			t.Error(err)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n") // what fails here fails the request
		go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
		go func() { _, _ = io.Copy(here, there); _ = here.Close() }()
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, oci.Config{Credentials: admin, Proxy: http.ProxyURL(at), Registries: map[string]oci.Registry{"registry.test": {SkipVerify: true}}})
	if got := head(t, c, "registry.test/team/app:latest"); got != "old" {
		t.Errorf("through the proxy the image is %s", got)
	}
	want := map[string]bool{"CONNECT registry.test:443": true, "CONNECT " + srv.Host(): true}
	if diff := cmp.Diff(want, through); diff != "" {
		t.Errorf("the proxy saw (-want +got):\n%s", diff)
	}
}

// TestProxyThatDoesNotConnect: it is the proxy's failure and not the registry's, and
// is told without the proxy's password.
func TestProxyThatDoesNotConnect(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(refusing.Close)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	for proxy, want := range map[string]string{
		refusing.URL: `the proxy ` + strings.TrimPrefix(refusing.URL, "http://") + ` answered with status "502 Bad Gateway"`,
		dead.URL:     "the proxy that the environment or the configuration names does not answer",
	} {
		at, err := url.Parse(strings.Replace(proxy, "http://", "http://user:s3cret@", 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = newClient(t, oci.Config{Proxy: http.ProxyURL(at)}).Head(t.Context(), "admin", mustRef(t, "registry.test/team/app:latest"))
		if got := anchore.MessageOf(err); anchore.KindOf(err) != anchore.Unavailable || !strings.Contains(got, want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Head through %s: %v; want %q", proxy, err, want)
		}
	}
}

// TestRoleOfTheHost reads an ECR registry with the role of the machine that the
// engine runs on, as EC2's metadata service gives it.
func TestRoleOfTheHost(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	srv := ocitest.NewHandler(ocitest.Config{Auth: ocitest.Basic, User: "AWS", Password: "issued"})
	srv.Push(t, "team/app:latest", oldImage)
	token := base64.StdEncoding.EncodeToString([]byte("AWS:issued"))
	key := `{"Code":"Success","AccessKeyId":"ASIAROLE","SecretAccessKey":"secret","Token":"session"}`
	answers := map[string]string{
		"PUT http://169.254.169.254/latest/api/token":                                      "metadata-token",
		"GET http://169.254.169.254/latest/meta-data/iam/security-credentials/":            "engine-role\n",
		"GET http://169.254.169.254/latest/meta-data/iam/security-credentials/engine-role": key,
		"POST https://api.ecr.eu-west-1.amazonaws.com/":                                    fmt.Sprintf(`{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d}]}`, token, time.Now().Add(12*time.Hour).Unix()),
	}
	var asked []string
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == host {
			return srv.Transport().RoundTrip(r)
		}
		asked = append(asked, r.Method+" "+r.URL.String())
		rec := httptest.NewRecorder()
		answer, known := answers[asked[len(asked)-1]]
		switch {
		case !known,
			r.Method == "GET" && r.URL.Host == "169.254.169.254" && r.Header.Get("X-Aws-Ec2-Metadata-Token") != "metadata-token",
			r.Method == "POST" && (r.Header.Get("X-Amz-Security-Token") != "session" || !strings.Contains(r.Header.Get("Authorization"), "Credential=ASIAROLE/")):
			rec.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = rec.WriteString(answer)
		}
		return rec.Result(), nil
	})
	accounts := logins{"admin": {Username: "awsauto", Password: "awsauto", Kind: oci.AmbientLogin}}
	c := newClient(t, oci.Config{Credentials: accounts, Ambient: true, Transport: transport})
	for range 2 {
		if got := head(t, c, host+"/team/app:latest"); got != "old" {
			t.Fatalf("with the instance's role the image is %s after %q", got, asked)
		}
	}
	if len(asked) != 4 {
		t.Errorf("asked %q, want each once", asked)
	}
	asked = nil
	if got := head(t, newClient(t, oci.Config{Credentials: accounts, Transport: transport}), host+"/team/app:latest"); got != "forbidden" || len(asked) > 0 {
		t.Errorf("where it is not allowed the image is %s after %q", got, asked)
	}
}
