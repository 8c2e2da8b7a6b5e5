package engine_test

import (
	"bytes"

	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/credential"
	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/engine"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// running is an engine in this process, on a data directory of its own, that looks
// at each tag once a second.
type running struct {
	t      *testing.T
	dir    string
	config string
	user   string // who makes requests
	url    string
	engine *engine.Engine
	stop   func()
}

func start(t *testing.T, config string) *running {
	t.Helper()
	e := &running{t: t, dir: t.TempDir(), config: config, user: anchore.AdminAccount}
	e.start()
	return e
}

// load is the engine's configuration; dir is where its data is.
func (e *running) load() *config.Config {
	e.t.Helper()
	file := filepath.Join(e.dir, "config.yaml")
	text := "data_dir: " + e.dataDir() + "\nlisten: 127.0.0.1:0\ndefault_admin_password: foobar\nwatch: {interval: 1s}\n" + e.config
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	cfg, err := config.Load(nil, []string{"ANCHORE_CONFIG=" + file, "HOME=" + e.dir})
	if err != nil {
		e.t.Fatal(err)
	}
	return cfg
}

func (e *running) dataDir() string { return filepath.Join(e.dir, "data") }

func (e *running) start() {
	e.t.Helper()
	built, err := engine.New(e.t.Context(), e.load(), engine.Options{Version: "test", AnalysisCommand: []string{"/bin/false"}})
	if err != nil {
		e.t.Fatal(err)
	}
	e.url, e.engine = built.URL(), built
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- built.Run(ctx) }()
	stopped := false
	e.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			e.t.Errorf("Run() = %v", err)
		}
	}
	e.t.Cleanup(e.stop)
}

// call makes a request and returns its status and body.
func (e *running) call(method, path string, body any) (int, string) {
	e.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+"/v1"+path, bytes.NewReader(raw))
	if err != nil {
		e.t.Fatal(err)
	}
	req.SetBasicAuth(e.user, "foobar")
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// as is the engine with requests of another user, who is made with an account of
// the name.
func (e *running) as(user string) *running {
	e.t.Helper()
	if err := e.engine.Catalog().CreateAccount(e.t.Context(), anchore.Account{Name: user, Type: anchore.UserAccount}, "foobar"); err != nil {
		e.t.Fatal(err)
	}
	other := *e
	other.user = user
	return &other
}

// must is call for a request that succeeds.
func (e *running) must(method, path string, body any) string {
	e.t.Helper()
	status, answer := e.call(method, path, body)
	if status != 200 {
		e.t.Fatalf("%s %s = %d %s", method, path, status, answer)
	}
	return answer
}

func (e *running) addRegistry(host, password string, verify bool) (int, string) {
	e.t.Helper()
	return e.call("POST", "/registries", map[string]any{
		"registry": host, "registry_user": "user", "registry_pass": password, "registry_type": "docker_v2", "registry_verify": verify,
	})
}

// tags is the digest that each full tag names now.
func (e *running) tags() map[string]string {
	e.t.Helper()
	var images []struct {
		Digest string `json:"imageDigest"`
		Detail []struct {
			Tag string `json:"fulltag"`
			At  string `json:"tag_detected_at"`
		} `json:"image_detail"`
	}
	if err := json.Unmarshal([]byte(e.must("GET", "/images", nil)), &images); err != nil {
		e.t.Fatal(err)
	}
	tags := map[string]string{}
	for _, img := range images {
		for _, d := range img.Detail {
			tags[d.Tag] += img.Digest + " "
		}
	}
	return tags
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestPrivateRegistries: of each kind of registry an image is read, and its tag
// watched, with the credential that was checked when it was stored.
func TestPrivateRegistries(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    ocitest.Config
		config func(*ocitest.Registry, string) string // given a file with the registry's CA
		verify bool
	}{
		{name: "basic", cfg: ocitest.Config{Auth: ocitest.Basic}, verify: true},
		{name: "token", cfg: ocitest.Config{Auth: ocitest.Token}, verify: true},
		{name: "private CA", cfg: ocitest.Config{Auth: ocitest.Basic, TLS: true}, verify: true, config: func(r *ocitest.Registry, ca string) string {
			return "registries: {ca_files: {'" + r.Host() + "': " + ca + "}}\n"
		}},
		{name: "private CA for all", cfg: ocitest.Config{Auth: ocitest.Token, TLS: true}, verify: true, config: func(_ *ocitest.Registry, ca string) string {
			return "registries: {ca_file: " + ca + "}\n"
		}},
		{name: "insecure record", cfg: ocitest.Config{Auth: ocitest.Token, TLS: true}, verify: false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.User, tc.cfg.Password = "user", "correct-horse"
			r := ocitest.StartWith(t, tc.cfg)
			text := ""
			if tc.config != nil {
				ca := filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(ca, r.CA(), 0o600); err != nil {
					t.Fatal(err)
				}
				text = tc.config(r, ca)
			}
			e := start(t, text)
			before, after := ocitest.Image(ocitest.Spec{Version: "1"}), ocitest.Image(ocitest.Spec{Version: "2"})
			tag := r.Push(t, "team/app:latest", before)
			if status, answer := e.call("POST", "/images", map[string]any{"tag": tag}); status == 200 {
				t.Errorf("an image was read without a credential: %s", answer)
			}
			if status, answer := e.addRegistry(r.Host(), "wrong-mule", tc.verify); status != 406 || !strings.Contains(answer, "cannot ping") {
				t.Errorf("a wrong password: %d %s", status, answer)
			}
			if status, answer := e.addRegistry(r.Host(), "correct-horse", tc.verify); status != 200 || strings.Contains(answer, "horse") {
				t.Fatalf("the right password: %d %s", status, answer)
			}
			e.must("POST", "/images?autosubscribe=true", map[string]any{"tag": tag})
			r.Push(t, "team/app:latest", after)
			eventually(t, "the tag's move is seen", func() bool { return strings.Contains(e.tags()[tag], after.Digest) })
			e.stop()
			noPasswordOnDisk(t, e.dataDir())
		})
	}
}

// noPasswordOnDisk reads every file of a data directory.
func noPasswordOnDisk(t *testing.T, dir string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("correct-horse")) {
			t.Errorf("%s holds the password", path)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestAccountsReadWithTheirOwnCredentials: what one account may read proves nothing
// for another, also where both watch the same tag.
func TestAccountsReadWithTheirOwnCredentials(t *testing.T) {
	r := ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Token, User: "user", Password: "correct-horse"})
	e := start(t, "")
	alice, bob := e.as("alice"), e.as("bob")
	first, second, third := ocitest.Image(ocitest.Spec{Version: "1"}), ocitest.Image(ocitest.Spec{Version: "2"}), ocitest.Image(ocitest.Spec{Version: "3"})
	tag := r.Push(t, "team/app:latest", first)
	registry := map[string]any{"registry": r.Host(), "registry_user": "user", "registry_pass": "correct-horse"}
	alice.must("POST", "/registries", registry)
	alice.must("POST", "/images?autosubscribe=true", map[string]any{"tag": tag})
	for _, add := range []map[string]any{{"tag": tag}, {"tag": tag, "digest": first.Digest, "created_at": "2021-06-01T12:00:00Z"}} {
		if status, answer := bob.call("POST", "/images?force=true", add); status == 200 {
			t.Errorf("bob added alice's image: %s", answer)
		}
	}
	registry["registry_pass"] = "wrong-mule"
	bob.must("POST", "/registries?validate=false", registry)
	bob.must("POST", "/subscriptions", map[string]any{"subscription_key": tag, "subscription_type": "tag_update", "active": true})
	for _, moved := range []ocitest.Artifact{second, third} {
		r.Push(t, "team/app:latest", moved)
		eventually(t, "alice sees the move", func() bool { return strings.Contains(alice.tags()[tag], moved.Digest) })
	}
	if diff := cmp.Diff(map[string]string{}, bob.tags()); diff != "" {
		t.Errorf("bob sees what he may not read (-want +got):\n%s", diff)
	}
	bob.must("PUT", "/registries/"+url.PathEscape(r.Host()), map[string]any{"registry_pass": "correct-horse"})
	eventually(t, "bob sees the image with a password that is right", func() bool { return strings.Contains(bob.tags()[tag], third.Digest) })
}

// TestRefusedLoginIsToldOnce: looks go on with a password that no longer holds, one
// event tells of it and one of the tag that cannot be looked at, also if the engine
// restarts meanwhile, and the new password works at once.
func TestRefusedLoginIsToldOnce(t *testing.T) {
	r := ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Token, User: "user", Password: "correct-horse"})
	e := start(t, "")
	tag := r.Push(t, "team/app:latest", ocitest.Image(ocitest.Spec{}))
	if status, answer := e.addRegistry(r.Host(), "correct-horse", true); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	e.must("POST", "/images?autosubscribe=true", map[string]any{"tag": tag})
	path := "/registries/" + url.PathEscape(r.Host())
	e.must("PUT", path+"?validate=false", map[string]any{"registry_pass": "wrong-mule"})
	events := func(kind anchore.EventType) int {
		var page struct {
			Results []struct {
				Event struct {
					Resource struct{ ID string } `json:"resource"`
				} `json:"event"`
			} `json:"results"`
		}
		if err := json.Unmarshal([]byte(e.must("GET", "/events?event_type="+string(kind), nil)), &page); err != nil {
			t.Fatal(err)
		}
		return len(page.Results)
	}
	check := func(when string) {
		t.Helper()
		for _, kind := range []anchore.EventType{anchore.EventRegistryLoginFailed, anchore.EventRegistryLookupFailed} {
			eventually(t, when+": "+string(kind), func() bool { return events(kind) > 0 })
			asked := r.Requests("GET", "/token")
			eventually(t, "it was tried again", func() bool { return r.Requests("GET", "/token") > asked+1 })
			if n := events(kind); n != 1 {
				t.Errorf("%s: %d events %s, want 1", when, n, kind)
			}
		}
	}
	check("at first")
	for range 2 {
		e.stop()
		e.start()
		check("after a restart")
	}
	if status, answer := e.call("PUT", path, map[string]any{"registry_pass": "still-wrong"}); status != 406 {
		t.Errorf("another wrong password: %d %s", status, answer)
	}
	e.must("PUT", path, map[string]any{"registry_pass": "correct-horse"})
	e.must("POST", "/images", map[string]any{"tag": tag})
}

// TestKeyRotation: after a rotation the engine reads what it had stored; without
// its key it does not start.
func TestKeyRotation(t *testing.T) {
	r := ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Basic, User: "user", Password: "correct-horse"})
	tag := r.Push(t, "team/app:latest", ocitest.Image(ocitest.Spec{}))
	e := start(t, "")
	if status, answer := e.addRegistry(r.Host(), "correct-horse", true); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if _, err := engine.RotateKey(t.Context(), e.dataDir(), nil); err == nil {
		t.Error("the key of a running engine was rotated")
	}
	e.stop()
	file := filepath.Join(e.dataDir(), "key")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := engine.RotateKey(t.Context(), e.dataDir(), nil); n != 1 || err != nil {
		t.Fatalf("RotateKey = %d, %v; want 1", n, err)
	}
	after, err := os.ReadFile(file)
	if err != nil || bytes.Equal(before, after) {
		t.Fatalf("the key file is the same: %v", err)
	}
	e.start()
	e.must("POST", "/images", map[string]any{"tag": tag})
	e.stop()
	for name, spoil := range map[string]func() error{
		"is missing":     func() error { return os.Remove(file) },
		"lacks the key":  func() error { return os.WriteFile(file, before, 0o600) },
		"cannot be read": func() error { return os.WriteFile(file, []byte("x"), 0o600) },
		"set it to 0600": func() error { return errors.Join(os.WriteFile(file, after, 0o600), os.Chmod(file, 0o644)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		_, err := engine.New(t.Context(), e.load(), engine.Options{})
		if anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), name) || !strings.Contains(anchore.MessageOf(err), file) {
			t.Errorf("the engine starts, or says %v; want that %s %s", err, file, name)
		}
	}
	if err := errors.Join(os.WriteFile(file, after, 0o600), os.Chmod(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	e.start()
}

// TestKeyReset: without its key the engine starts again once the passwords are given
// up, and all but they is there.
func TestKeyReset(t *testing.T) {
	r := ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Basic, User: "user", Password: "correct-horse"})
	tag := r.Push(t, "team/app:latest", ocitest.Image(ocitest.Spec{}))
	e := start(t, "")
	if status, answer := e.addRegistry(r.Host(), "correct-horse", true); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	want := []credential.Lost{{Account: anchore.AdminAccount, Registry: r.Host()}}
	asked := 0
	reset := func(answer error) ([]credential.Lost, error) {
		return engine.ResetKey(t.Context(), e.dataDir(), nil, func(lost []credential.Lost) error {
			asked++
			if diff := cmp.Diff(want, lost); diff != "" {
				t.Errorf("asked about (-want +got):\n%s", diff)
			}
			return answer
		})
	}
	if _, err := reset(nil); anchore.KindOf(err) != anchore.Conflict {
		t.Errorf("with the engine running: %v, want conflict", err)
	}
	e.stop()
	if lost, err := reset(nil); len(lost) != 0 || err != nil || asked != 0 {
		t.Errorf("with its key: %v, %v, asked %d times; want nothing", lost, err, asked)
	}
	file := filepath.Join(e.dataDir(), "key")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.New(t.Context(), e.load(), engine.Options{}); anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), "engine key reset") {
		t.Errorf("the engine starts without its key, or says %v; want how to go on", err)
	}
	declined := errors.New("no")
	if _, err := reset(declined); !errors.Is(err, declined) {
		t.Errorf("declined: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a key was made although the reset was declined")
	}
	lost, err := reset(nil)
	if diff := cmp.Diff(want, lost); diff != "" || err != nil {
		t.Fatalf("ResetKey: %v (-want +got):\n%s", err, diff)
	}
	e.start()
	if status, answer := e.call("POST", "/images", map[string]any{"tag": tag}); status != 403 || !strings.Contains(answer, "was lost with the key") {
		t.Errorf("an image without the password: %d %s", status, answer)
	}
	e.must("GET", "/registries/"+url.PathEscape(r.Host()), nil)
	e.must("PUT", "/registries/"+url.PathEscape(r.Host()), map[string]any{"registry_pass": "correct-horse"})
	e.must("POST", "/images", map[string]any{"tag": tag})
	if _, err := engine.ResetKey(t.Context(), t.TempDir(), nil, nil); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("in an empty directory: %v, want invalid", err)
	}
}

// TestMirrorsOfTheEngine: what the configuration says of mirrors reaches the
// registry client, and the tag keeps the registry's name.
func TestMirrorsOfTheEngine(t *testing.T) {
	mirror := ocitest.Start(t)
	img := ocitest.Image(ocitest.Spec{})
	mirror.Push(t, "hub/library/app:1", img)
	e := start(t, "registries: {mirrors: {docker.io: ['"+mirror.Host()+"/hub']}}\n")
	e.must("POST", "/images", map[string]any{"tag": "app:1"})
	if diff := cmp.Diff(map[string]string{"docker.io/library/app:1": img.Digest + " "}, e.tags()); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// TestNoTagStarves: 60 tags of 20 repositories at a registry that is slow, whose
// tokens live for a second, and that refuses requests for a while. Every one of
// them moves; each move is seen.
func TestNoTagStarves(t *testing.T) {
	r := ocitest.StartWith(t, ocitest.Config{
		Auth: ocitest.Token, User: "user", Password: "correct-horse", Latency: 50 * time.Millisecond, TokenFor: time.Second,
	})
	e := start(t, "")
	if status, answer := e.addRegistry(r.Host(), "correct-horse", true); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	const repositories, each = 20, 3
	before, after := ocitest.Image(ocitest.Spec{Version: "1"}), ocitest.Image(ocitest.Spec{Version: "2"})
	var names []string
	for i := range repositories * each {
		names = append(names, fmt.Sprintf("team/app%d:v%d", i/each, i%each))
	}
	for _, name := range names {
		tag := r.Push(t, name, before)
		e.must("POST", "/subscriptions", map[string]any{"subscription_key": tag, "subscription_type": "tag_update", "active": true})
	}
	all := func(digest string) func() bool {
		return func() bool {
			tags := e.tags()
			for _, name := range names {
				if !strings.Contains(tags[r.Host()+"/"+name], digest) {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "every tag was seen", all(before.Digest))
	limited := ocitest.TooMany(time.Second)
	limited.Times = 5
	r.Inject(limited)
	until := ocitest.TooManyUntil(time.Now().Add(2 * time.Second))
	until.Times = 5
	r.Inject(until)
	for _, name := range names {
		r.Push(t, name, after)
	}
	eventually(t, "every move was seen", all(after.Digest))
}
