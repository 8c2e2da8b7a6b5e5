package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	adminPassword = "foobar"
	patience      = 90 * time.Second // longer than anything takes on a loaded machine
	pollEvery     = 20 * time.Millisecond
)

// engine is one data directory, one address, and the process that serves them. It
// can be stopped, killed and started again.
type engine struct {
	t        testing.TB
	dir      string // holds config.yaml, the data directory and the CLI's home
	addr     string // host:port, the same for every start
	env      []string
	user     string // who asks; the same engine for another user is as
	pass     string
	relative bool // name configuration and data directory from dir, as users do
	cmd      *exec.Cmd
	exited   chan struct{} // closed when the process is gone
	waitErr  error         // valid once exited is closed
	log      *syncBuffer
}

// startEngine starts an engine with the given config.yaml and waits until it
// answers. The test's end kills it.
func startEngine(t testing.TB, config string) *engine {
	t.Helper()
	e := newEngine(t, config)
	e.start()
	return e
}

// newEngine prepares what startEngine starts.
func newEngine(t testing.TB, config string) *engine {
	t.Helper()
	e := &engine{
		t: t, dir: t.TempDir(), addr: freeAddress(t), log: &syncBuffer{},
		env: []string{"ANCHORE_ADMIN_PASSWORD=" + adminPassword}, user: "admin", pass: adminPassword,
	}
	e.configure(config)
	return e
}

// in is the same engine for a subtest.
func (e *engine) in(t testing.TB) *engine {
	inner := *e
	inner.t = t
	return &inner
}

// as is the same engine, asked by a user whom this makes, with an account of the
// same name.
func (e *engine) as(name string) *engine {
	e.t.Helper()
	e.mustCLI("account", "add", name)
	other := *e
	other.user, other.pass = name, name+"-password"
	e.mustCLI("account", "user", "add", "--account", name, name, other.pass)
	return &other
}

// configure writes config.yaml, for the next start.
func (e *engine) configure(config string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) dataDir() string { return filepath.Join(e.dir, "data") }

func (e *engine) url() string { return "http://" + e.addr + "/v1" }

// command is the command line that serves the engine's data directory.
func (e *engine) command(ctx context.Context, listen string) *exec.Cmd {
	config, data := filepath.Join(e.dir, "config.yaml"), e.dataDir()
	if e.relative {
		config, data = "config.yaml", "data"
	}
	cmd := exec.CommandContext(ctx, programs.engine, "serve", "--config", config, "--data-dir", data, "--listen", listen)
	cmd.Dir = e.dir
	cmd.Env = append([]string{"HOME=" + e.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + e.dir}, e.env...)
	return cmd
}

// launch starts the process without waiting for its answer.
func (e *engine) launch() {
	e.t.Helper()
	e.cmd = e.command(context.Background(), e.addr)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	cmd, exited := e.cmd, make(chan struct{})
	e.exited = exited
	go func() {
		e.waitErr = cmd.Wait()
		close(exited)
	}()
	e.t.Cleanup(func() { end(cmd, exited) })
}

// end kills a process that may be gone already, and waits for it.
func end(cmd *exec.Cmd, exited <-chan struct{}) {
	_ = cmd.Process.Kill() // fails only if it is gone
	<-exited
}

// start launches the engine and waits until it answers.
func (e *engine) start() {
	e.t.Helper()
	e.launch()
	if err := e.healthy(); err != nil {
		e.t.Fatalf("the engine did not start: %v; its log:\n%s", err, e.log)
	}
}

// healthy polls until the engine answers, and fails if it ends before.
func (e *engine) healthy() error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		resp, err := client.Get("http://" + e.addr + "/health")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-e.exited:
			return fmt.Errorf("it ended: %w", e.waitErr)
		case <-deadline.C:
			return errors.New("no answer from /health")
		case <-tick.C:
		}
	}
}

// stop ends the engine as an operator does, and checks that it ended well.
func (e *engine) stop() {
	e.t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		e.t.Fatal(err)
	}
	select {
	case <-e.exited:
	case <-time.After(patience):
		e.t.Fatalf("the engine did not end after SIGTERM; its log:\n%s", e.log)
	}
	if e.waitErr != nil {
		e.t.Fatalf("the engine ended with %v after SIGTERM; its log:\n%s", e.waitErr, e.log)
	}
}

// kill ends the engine as a power cut does.
func (e *engine) kill() {
	e.t.Helper()
	end(e.cmd, e.exited)
}

// result is what a command left behind.
type result struct {
	Stdout, Stderr string
	Code           int
}

// cli runs anchore-cli against the engine.
func (e *engine) cli(args ...string) result {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, programs.cli, args...)
	cmd.Env = []string{
		"HOME=" + e.dir, "ANCHORE_CLI_URL=" + e.url(),
		"ANCHORE_CLI_USER=" + e.user, "ANCHORE_CLI_PASS=" + e.pass,
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		e.t.Fatalf("anchore-cli %s: %v", strings.Join(args, " "), err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// mustCLI is cli for a command that succeeds. It returns the standard output.
func (e *engine) mustCLI(args ...string) string {
	e.t.Helper()
	r := e.cli(args...)
	if r.Code != 0 {
		e.t.Fatalf("anchore-cli %s: exit code %d\n%s%s\nthe engine's log:\n%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr, e.log)
	}
	return r.Stdout
}

// call makes one request to the API, to a path below /v1, decodes a JSON answer into `into` unless it
// is nil, and returns the status and the body.
func (e *engine) call(method, path string, body, into any) (int, []byte) {
	e.t.Helper()
	var text io.Reader
	if body != nil {
		doc, err := json.Marshal(body)
		if err != nil {
			e.t.Fatal(err)
		}
		text = bytes.NewReader(doc)
	}
	return e.callURL(method, e.url()+path, text, into)
}

func (e *engine) callURL(method, url string, text io.Reader, into any) (int, []byte) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, url, text)
	if err != nil {
		e.t.Fatal(err)
	}
	req.SetBasicAuth(e.user, e.pass)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		e.t.Fatalf("%s %s: %v; the engine's log:\n%s", method, url, err, e.log)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			e.t.Fatalf("%s %s: %d %v in %s", method, url, resp.StatusCode, err, raw)
		}
	}
	return resp.StatusCode, raw
}

// subscribe makes active subscriptions of tags that were not added.
func (e *engine) subscribe(kind string, refs ...string) {
	e.t.Helper()
	for _, ref := range refs {
		body := map[string]any{"subscription_key": ref, "subscription_type": kind, "active": true}
		if status, raw := e.call(http.MethodPost, "/subscriptions", body, nil); status != http.StatusOK {
			e.t.Fatalf("POST /subscriptions: %d %s", status, raw)
		}
	}
}

// event is one entry of the event log as the API shows it.
type event struct {
	ID    string `json:"generated_uuid"`
	Event struct {
		Type     string         `json:"type"`
		Level    string         `json:"level"`
		Message  string         `json:"message"`
		Details  map[string]any `json:"details"`
		Resource struct {
			ID     string `json:"id"`
			Type   string `json:"type"`
			UserID string `json:"user_id"`
		} `json:"resource"`
		Source struct {
			Service string `json:"servicename"`
		} `json:"source"`
	} `json:"event"`
}

// events returns all events of a type about a resource, newest first.
func (e *engine) events(kind, resource string) []event {
	e.t.Helper()
	var all []event
	for page := 1; ; page++ {
		var answer struct {
			Results  []event `json:"results"`
			NextPage bool    `json:"next_page"`
		}
		path := fmt.Sprintf("/events?event_type=%s&limit=1000&page=%d", kind, page)
		if resource != "" {
			path += "&resource_id=" + resource
		}
		if status, raw := e.call(http.MethodGet, path, nil, &answer); status != http.StatusOK {
			e.t.Fatalf("GET %s: %d %s", path, status, raw)
		}
		all = append(all, answer.Results...)
		if !answer.NextPage {
			return all
		}
	}
}

// waitFor polls until cond holds, and says what it waited for if it never does.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s", patience, what)
		case <-tick.C:
		}
	}
}

// lastPort is the port that was handed out last. Ports below the range that
// systems take for outgoing connections stay free while an engine is down.
var lastPort atomic.Int32

// freeAddress returns a loopback address that nobody listens on, and that no other
// test of this run gets.
func freeAddress(t testing.TB) string {
	t.Helper()
	const low, span = 15000, 15000
	for range span {
		port := low + (os.Getpid()*17+int(lastPort.Add(1)))%span
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// syncBuffer is a buffer that a process writes while a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
