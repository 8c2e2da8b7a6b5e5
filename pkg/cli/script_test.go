package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

var update = flag.Bool("update", false, "rewrite the golden parts of the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"anchore-cli": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(Main(ctx, session.Config{Args: os.Args[1:], Environ: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: "1.2.3", Commit: "abc"}))
	}})
}

// TestScripts runs testdata/script/GROUP/CASE.txtar, every directory of it. Each
// script has an engine of its own at $ANCHORE_CLI_URL: it answers a request with
// the file responses/METHOD_PATH (slashes as underscores, a query after "@"; the
// nth request with METHOD_PATH.n if there is one), whose first line is the HTTP
// status, and for a redirect where it leads, or "type=" and a content type in place of
// application/json. What was asked for is in the file "requests".
func TestScripts(t *testing.T) {
	root := filepath.Join("..", "..", "testdata", "script")
	groups, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		t.Run(g.Name(), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 filepath.Join(root, g.Name()),
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				UpdateScripts:       *update,
				Setup:               setupScript,
			})
		})
	}
}

func setupScript(env *testscript.Env) error {
	server := httptest.NewServer(&recorded{dir: env.WorkDir, asked: map[string]int{}})
	env.Defer(server.Close)
	env.Setenv("ANCHORE_CLI_URL", server.URL+"/v1")
	env.Setenv("ANCHORE_CLI_USER", "admin")
	env.Setenv("ANCHORE_CLI_PASS", "foobar")
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("GORACE", "atexit_sleep_ms=0") // a program under the race detector else ends a second late
	return nil
}

// recorded is an engine whose answers are files.
type recorded struct {
	dir   string
	mu    sync.Mutex
	asked map[string]int
}

func (s *recorded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if user, pass, _ := r.BasicAuth(); user != "admin" || pass != "foobar" {
		w.Header().Set("WWW-Authenticate", `basic realm="Authentication required"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	s.log(r, body)
	status, location, doc, err := s.answer(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch media, ok := strings.CutPrefix(location, "type="); {
	case ok && media == "":
		w.Header()["Content-Type"] = nil // so that none is guessed
	case ok:
		w.Header().Set("Content-Type", media)
	case location != "":
		w.Header().Set("Location", location)
	}
	w.WriteHeader(status)
	w.Write(doc)
}

func (s *recorded) log(r *http.Request, body []byte) {
	f, err := os.OpenFile(filepath.Join(s.dir, "requests"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	line := r.Method + " " + r.RequestURI
	if a := r.Header.Get("X-Anchore-Account"); a != "" {
		line += " as " + a
	}
	if len(body) > 0 {
		line += " " + string(body)
	}
	fmt.Fprintln(f, line)
}

// answer reads the file for r: a line with the status and the location, then the body
// without the file's last newline.
func (s *recorded) answer(r *http.Request) (status int, location string, body []byte, err error) {
	name := r.Method + strings.ReplaceAll(strings.TrimSuffix(r.URL.Path, "/"), "/", "_")
	s.asked[name]++
	tries := []string{name + "@" + strings.ReplaceAll(r.URL.RawQuery, "/", "_"), fmt.Sprintf("%s.%d", name, s.asked[name]), name}
	for _, t := range tries {
		doc, err := os.ReadFile(filepath.Join(s.dir, "responses", t))
		if err != nil {
			continue
		}
		first, rest, _ := bytes.Cut(doc, []byte("\n"))
		number, location, _ := strings.Cut(string(first), " ")
		status, err := strconv.Atoi(number)
		return status, location, bytes.TrimSuffix(rest, []byte("\n")), err
	}
	return 0, "", nil, fmt.Errorf("no file responses/%s for %s", name, r.RequestURI)
}
