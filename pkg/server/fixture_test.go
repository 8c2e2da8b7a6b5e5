package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/seal"
	"github.com/anchore/anchore-engine/pkg/server/rest"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// fixture is a server on loopback above a real catalog, with these users, each
// with an account of its name and the password "<name>-password":
// admin (administrator), alice and bob (users), eve (whose account is disabled).
type fixture struct {
	t       *testing.T
	catalog *catalog.Catalog
	blobs   *dir.Blobs
	server  *Server
	url     string
}

// openCatalog opens the catalog of a directory on the engine's own backends.
func openCatalog(folder string) (*catalog.Catalog, *dir.Blobs, func() error, error) {
	st, err := bolt.Open(bolt.Config{Path: filepath.Join(folder, "store.db")})
	if err != nil {
		return nil, nil, nil, err
	}
	blobs, err := dir.New(dir.Config{Path: filepath.Join(folder, "blobs")})
	if err != nil {
		return nil, nil, nil, err
	}
	ring, err := seal.Open(filepath.Join(folder, "key"), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	cat, err := catalog.New(catalog.Config{Store: st, Blobs: blobs, Seal: ring})
	return cat, blobs, st.Close, err
}

// usersFile is a store that has the fixture's users and nothing else. It is made
// once, since hashing their passwords takes longer than most tests.
var usersFile = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "server-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	cat, _, closeStore, err := openCatalog(folder)
	if err != nil {
		return nil, err
	}
	for _, a := range []anchore.Account{
		{Name: "admin", Type: anchore.AdminType, Email: "admin@myanchore"},
		{Name: "alice", Type: anchore.UserAccount},
		{Name: "bob", Type: anchore.UserAccount},
		{Name: "eve", Type: anchore.UserAccount, State: anchore.AccountDisabled},
	} {
		if err := cat.CreateAccount(context.Background(), a, anchore.Secret(a.Name+"-password")); err != nil {
			return nil, err
		}
	}
	if err := closeStore(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(folder, "store.db"))
})

// newFixture builds one. adjust may change the configuration; nil changes nothing.
func newFixture(t *testing.T, adjust func(*Config)) *fixture {
	t.Helper()
	folder := t.TempDir()
	raw, err := usersFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "store.db"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cat, blobs, closeStore, err := openCatalog(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeStore(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{t: t, catalog: cat, blobs: blobs}
	in, err := intake.New(intake.Config{Catalog: cat, Registry: madeUpRegistry{}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Catalog: cat, Intake: in, Version: "1.1.0", SchemaVersion: "0.0.16",
		HostID: "anchore-quickstart", BaseURL: "http://engine:8228",
	}
	if adjust != nil {
		adjust(&cfg)
	}
	if f.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(f.server)
	t.Cleanup(listening.Close)
	f.url = listening.URL
	return f
}

// madeUpRegistry has every tag: what it names is made up from the tag's text. The
// tag "missing" it refuses as a registry would, and the tag "limited" for a minute.
type madeUpRegistry struct{}

func (madeUpRegistry) Resolve(_ context.Context, _ string, ref anchore.Reference, p anchore.Platform) (anchore.Manifest, error) {
	if ref.Tag == "missing" {
		return anchore.Manifest{}, anchore.E(anchore.NotFound, "oci.Resolve", "registry docker.io does not have it").
			WithCodes("REGISTRY_IMAGE_NOT_FOUND").Because(errors.New("GET https://10.0.0.1/secret"))
	}
	if ref.Tag == "limited" {
		e := anchore.E(anchore.Limited, "oci.Resolve", "registry docker.io allows no more requests for now")
		e.After = time.Minute
		return anchore.Manifest{}, e
	}
	m := madeUp(ref)
	m.Platform = p
	return m, nil
}

// ListTags lists the tags of every repository but "missing".
func (madeUpRegistry) ListTags(_ context.Context, _ string, ref anchore.Reference) ([]string, error) {
	if strings.HasSuffix(ref.Repository, "missing") {
		return nil, anchore.E(anchore.NotFound, "oci.ListTags", "repository name not known to registry").WithCodes("REGISTRY_IMAGE_NOT_FOUND")
	}
	return []string{"1.0", "1.1", "2.0", "edge", "latest"}, nil
}

// madeUp is a manifest that ref, read as a text, names.
func madeUp(ref anchore.Reference) anchore.Manifest {
	sum := func(s string) string {
		d := sha256.Sum256([]byte(s))
		return hex.EncodeToString(d[:])
	}
	m := anchore.Manifest{
		Ref: ref, TagDigest: "sha256:" + sum("index of "+ref.String()), Digest: "sha256:" + sum("manifest of "+ref.String()),
		ImageID: sum("config of " + ref.String()), Platform: anchore.DefaultPlatform, Size: 1000, Layers: 2,
		Raw: []byte("{}"), Config: []byte("{}"),
	}
	if ref.Digest != "" {
		m.TagDigest, m.Digest = ref.Digest, ref.Digest
	}
	return m
}

// addImage adds the image of a tag as the user does and returns its record.
func (f *fixture) addImage(user, tag string) map[string]any {
	f.t.Helper()
	list := f.call(user, "POST", "/images", `{"tag":"`+tag+`"}`).list(200)
	return list[0].(map[string]any)
}

// analyze finishes the analysis that is due first with a small report.
func (f *fixture) analyze() {
	f.t.Helper()
	job, ok, _, err := f.catalog.ClaimAnalysis(f.t.Context(), time.Minute)
	if err != nil || !ok {
		f.t.Fatalf("ClaimAnalysis() = %v, %v", ok, err)
	}
	digest, err := f.blobs.Put(f.t.Context(), strings.NewReader(report))
	if err != nil {
		f.t.Fatal(err)
	}
	err = f.catalog.FinishAnalysis(f.t.Context(), job, catalog.AnalysisResult{
		Report: digest, Summary: anchore.Summary{Distro: "alpine", DistroVersion: "3.13.5", Size: 5857280, Packages: 1},
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// report is a syft document with one package.
const report = `{"artifacts":[{"id":"1","name":"musl","version":"1.2.2-r0","type":"apk","foundBy":"apk-db-cataloger",
 "locations":[{"path":"/lib/apk/db/installed"}],"licenses":[{"value":"MIT"}],"language":"","cpes":[],"purl":"",
 "metadataType":"apk-db-entry","metadata":{"package":"musl","originPackage":"musl","maintainer":"","version":"1.2.2-r0","installedSize":10}}],
 "artifactRelationships":[],"files":[],"source":{"id":"1","type":"image","metadata":{}},
 "distro":{"id":"alpine","versionID":"3.13.5"},"descriptor":{"name":"syft","version":"1"},
 "schema":{"version":"16.0.0","url":""}}`

// answer is one answer, already compared with the document.
type answer struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	body   []byte
}

// call makes a request as user ("" for none) and checks the answer against the
// document. Headers are given in pairs.
func (f *fixture) call(user, method, path, body string, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, user+"-password")
	}
	req.Header.Set("Content-Type", "application/json") // as the original's client does, always
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{t: f.t, asked: method + " " + path, status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		f.t.Fatalf("%s: %v", a.asked, err)
	}
	f.conforms(req, a)
	return a
}

// conforms compares an answer with the document, if that has its path.
func (f *fixture) conforms(req *http.Request, a answer) {
	f.t.Helper()
	if a.status >= 400 && a.status != http.StatusUnauthorized {
		a.isError()
	}
	if a.header.Get("Content-Type") == "application/json" && len(a.body) > 0 {
		a.isInTheOriginalsForm()
	}
	route, values, err := f.server.rest.FindRoute(req)
	if err != nil {
		return
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		ExcludeResponseBody: !a.decodes() || len(a.body) == 0,
	}
	err = openapi3filter.ValidateResponse(f.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req, PathParams: values, Route: route, Options: options,
		},
		Status: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Options: options,
	})
	if err != nil {
		f.t.Errorf("%s answers %d, not as the document says: %v\n%s", a.asked, a.status, err, a.body)
	}
}

// decodes reports whether the document's validation can read the body.
func (a answer) decodes() bool {
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return media == "application/json" || media == "text/plain"
}

// isError checks that the answer has the shape of all errors.
func (a answer) isError() {
	a.t.Helper()
	var e struct {
		Message  *string `json:"message"`
		HTTPCode *int    `json:"httpcode"`
		Detail   *struct {
			Codes *[]string `json:"error_codes"`
		} `json:"detail"`
	}
	err := json.Unmarshal(a.body, &e)
	if err != nil || e.Message == nil || *e.Message == "" || e.HTTPCode == nil || *e.HTTPCode != a.status ||
		e.Detail == nil || e.Detail.Codes == nil || *e.Detail.Codes == nil {
		a.t.Errorf("%s answers %d with a body that is no error: %v\n%s", a.asked, a.status, err, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		a.t.Errorf("%s answers %d as %q, want application/json", a.asked, a.status, got)
	}
}

// isInTheOriginalsForm checks indentation, order of keys and escapes.
func (a answer) isInTheOriginalsForm() {
	a.t.Helper()
	tree, err := rest.Sorted(json.RawMessage(a.body))
	if err != nil {
		a.t.Fatalf("%s: %v\n%s", a.asked, err, a.body)
	}
	want, err := rest.Encode(tree)
	if err != nil {
		a.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(a.body)); diff != "" {
		a.t.Errorf("%s is not in the original's form (-want +got):\n%s", a.asked, diff)
	}
}

// is stops the test unless the answer has the status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s = %d, want %d\n%s", a.asked, a.status, status, a.body)
	}
	return a
}

// says checks status and a part of an error's message.
func (a answer) says(status int, message string) {
	a.t.Helper()
	if got := a.object(status)["message"].(string); !strings.Contains(got, message) {
		a.t.Errorf("%s says %q, want %q in it", a.asked, got, message)
	}
}

func (a answer) list(status int) []any {
	a.t.Helper()
	return decoded[[]any](a.is(status))
}

func (a answer) object(status int) map[string]any {
	a.t.Helper()
	return decoded[map[string]any](a.is(status))
}

func decoded[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.asked, err, a.body)
	}
	return v
}

// column is the value of one property in each record of a list.
func column(list []any, property string) []any {
	values := []any{}
	for _, record := range list {
		values = append(values, record.(map[string]any)[property])
	}
	return values
}
