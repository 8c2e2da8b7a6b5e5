package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func TestPointInTime(t *testing.T) {
	now := time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{"24h": "2024-03-04T12:00:00Z", "90m": "2024-03-05T10:30:00Z", "7d": "2024-02-27T12:00:00Z", "2024-01-01": "2024-01-01", "": "", "-5m": "-5m", "xd": "xd"} {
		if got := pointInTime(in, now); got != want {
			t.Errorf("pointInTime(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestMatchKey(t *testing.T) {
	for _, tt := range []struct {
		pattern, key string
		want         bool
	}{
		{"docker.io/*", "docker.io/library/alpine:latest", true}, {"*alpine*", "docker.io/library/alpine:latest", true},
		{"docker.io/library/alpine:3.?", "docker.io/library/alpine:3.1", true}, {"alpine*", "docker.io/library/alpine:1", true}, {"alpine*", "quay.io/alpine:1", false}, {"", "x", true},
		{"[::1]:5000/*", "[::1]:5000/app:1", true}, {"[::1]:5000/*", "1:5000/app:1", false}, {"[", "[", true}, {"[", "x", false}, {`a\*`, `a\b`, true}, {`a\*`, "a*", false},
	} {
		if got := matchKey(tt.pattern, tt.key); got != tt.want {
			t.Errorf("matchKey(%q, %q) = %v", tt.pattern, tt.key, got)
		}
	}
}

// brokenWriter is a full disk.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, context.DeadlineExceeded }

func TestLostOutputIsAFailure(t *testing.T) {
	var talk bytes.Buffer
	code := Main(t.Context(), session.Config{Args: []string{"version"}, In: strings.NewReader(""), Out: brokenWriter{}, Err: &talk})
	if code != 1 || !strings.Contains(talk.String(), "cannot write the output") {
		t.Errorf("exit code %d, %q", code, talk.String())
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, talk bytes.Buffer
	code := Main(ctx, session.Config{Args: []string{"--url", "http://127.0.0.1:1/v1", "image", "list"}, In: strings.NewReader(""), Out: &out, Err: &talk})
	if code != 1 || talk.String() != "\nAborted!\n" {
		t.Errorf("exit code %d, %q, %q", code, out.String(), talk.String())
	}
}

// TestInterruptIsANo: at a question it does not wait for an answer, and is no error.
func TestInterruptIsANo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	defer typed.Close()
	var out asked
	out.then = cancel
	var talk bytes.Buffer
	code := Main(ctx, session.Config{Args: []string{"--url", "http://127.0.0.1:1/v1", "event", "delete", "--all"}, In: in, Out: &out, Err: &talk})
	if code != 0 || out.text.String() != "Really delete (clear) all events? (y/N)" || talk.Len() > 0 {
		t.Errorf("exit code %d, %q, %q", code, out.text.String(), talk.String())
	}
}

// asked is an output that does something once it was written to.
type asked struct {
	text bytes.Buffer
	then func()
}

func (a *asked) Write(p []byte) (int, error) {
	defer a.then()
	return a.text.Write(p)
}

// Every command has help that names it and needs no server, and every leaf
// refuses a flag that does not exist.
func TestEveryCommand(t *testing.T) {
	a := &session.App{}
	var walk func(path []string)
	walk = func(path []string) {
		cmd, _, err := newRootCmd(a).Find(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{append(path[:len(path):len(path)], "-h"), append(path[:len(path):len(path)], "--no-such-flag")} {
			var out, talk bytes.Buffer
			code := Main(t.Context(), session.Config{Args: args, In: strings.NewReader(""), Out: &out, Err: &talk})
			line := "Usage: " + strings.Join(append([]string{"anchore-cli"}, path...), " ")
			help := args[len(args)-1] == "-h"
			if help && (code != 0 || !strings.HasPrefix(out.String(), line)) {
				t.Errorf("%v: code %d\n%s%s", args, code, out.String(), talk.String())
			}
			if !help && (code != 2 || !strings.HasPrefix(talk.String(), line) || out.Len() > 0) {
				t.Errorf("%v: code %d\n%s%s", args, code, out.String(), talk.String())
			}
		}
		for _, c := range cmd.Commands() {
			if c.Name() != "help" {
				walk(append(path[:len(path):len(path)], c.Name()))
			}
		}
	}
	walk(nil)
}
