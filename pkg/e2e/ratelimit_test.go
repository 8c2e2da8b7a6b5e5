package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// refusal is the header of an answer that asks for a pause, and when that ends.
type refusal func(now time.Time) (name, value string, until time.Time)

// limiter is a registry with two watched tags that answers one look with 429.
type limiter struct {
	*front
	tags []string

	mu      sync.Mutex
	next    refusal   // of the next look
	refused time.Time // the look
	until   time.Time
}

func newLimiter(t testing.TB) *limiter {
	t.Helper()
	reg, l := newRegistry(t), &limiter{}
	l.front = newFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && l.refuses(w.Header()) {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		reg.ServeHTTP(w, r)
	}))
	for _, tag := range []string{"v1", "v2"} {
		reg.push(t, reg.ref("limited/app", tag), "the same everywhere") // so it is analyzed once
		l.tags = append(l.tags, l.ref("limited/app", tag))
	}
	return l
}

// refuses reports whether a look is refused, and sets the header that says so.
func (l *limiter) refuses(header http.Header) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		return false
	}
	now := time.Now()
	name, value, until := l.next(now)
	header.Set(name, value)
	l.next, l.refused, l.until = nil, now, until
	return true
}

// refuse makes the registry refuse the next look.
func (l *limiter) refuse(next refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = next
}

// pause is the time that the registry asked to be left alone for, zero if it has
// not asked yet.
func (l *limiter) pause() (begin, end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused, l.until
}

// between counts the requests after begin and before end.
func (f *front) between(begin, end time.Time) int {
	return len(f.requests(func(r request) bool { return r.At.After(begin) && r.At.Before(end) }))
}

// waitRequests waits until a front was asked n times after an instant.
func (f *front) waitRequests(t testing.TB, n int, after time.Time) {
	t.Helper()
	waitFor(t, "requests to "+f.host(), func() bool { return len(f.requests(func(r request) bool { return r.At.After(after) })) >= n })
}

// TestRegistriesThatLimitRequests has registries that ask in different ways to be
// left alone, and one that does not: each is left alone for as long as it asks.
func TestRegistriesThatLimitRequests(t *testing.T) {
	t.Parallel()
	const pause = 3 * time.Second
	full := func(now time.Time) time.Time { return now.Add(pause).Truncate(time.Second) }
	forms := map[string]refusal{
		"in seconds": func(now time.Time) (string, string, time.Time) { return "Retry-After", "3", now.Add(pause) },
		"until a date": func(now time.Time) (string, string, time.Time) {
			return "Retry-After", full(now).UTC().Format(http.TimeFormat), full(now)
		},
		"by RateLimit-Reset": func(now time.Time) (string, string, time.Time) { return "RateLimit-Reset", "3", now.Add(pause) },
		"by X-RateLimit-Reset": func(now time.Time) (string, string, time.Time) {
			return "X-RateLimit-Reset", strconv.FormatInt(full(now).Unix(), 10), full(now)
		},
		"by Docker Hub's limit": func(now time.Time) (string, string, time.Time) { return "RateLimit-Limit", "100;w=300", now.Add(pause) },
		"for an hour":           func(now time.Time) (string, string, time.Time) { return "Retry-After", "3600", now.Add(time.Hour) },
	}
	config, open, limited := watching+"  registries:\n", newLimiter(t), map[string]*limiter{}
	for form := range forms {
		limited[form] = newLimiter(t)
		config += "    '" + limited[form].host() + "': {concurrency: 1}\n" // no other look is under way when one is refused
	}
	e := startEngine(t, config)
	e.subscribe("tag_update", open.tags...)
	for _, l := range limited {
		e.subscribe("tag_update", l.tags...)
	}
	for form, l := range limited {
		l.waitRequests(t, 10, time.Time{}) // both tags are known
		l.refuse(forms[form])
	}
	for form, l := range limited {
		waitFor(t, "a look that is refused "+form, func() bool { begin, _ := l.pause(); return !begin.IsZero() })
	}
	hour := limited["for an hour"]
	for form, l := range limited {
		begin, end := l.pause()
		if l != hour {
			l.waitRequests(t, 3, end)
		}
		if n := l.between(begin, end); n != 0 {
			t.Errorf("a registry that asked for a pause %s got %d requests in it", form, n)
		}
		waitFor(t, "another registry to be asked while one is left alone "+form, func() bool { return open.between(begin, end) > 0 })
	}
	e.checkTold(hour)
	begin, end := hour.pause()
	if n := hour.between(begin, end); n != 0 {
		t.Errorf("the registry that asked for an hour got %d requests", n)
	}
}

// checkTold checks what users are told of a registry that is left alone, when it is
// the only one.
func (e *engine) checkTold(l *limiter) {
	e.t.Helper()
	begin, _ := l.pause()
	const reason, minute = "allows no more requests for now", "2006-01-02T15:04"
	end := begin.Add(time.Hour).UTC()
	next := regexp.MustCompile(end.Format(minute) + "|" + end.Add(10*time.Second).Format(minute)) // the engine counts from when it got the answer
	var r result
	defer func() {
		if e.t.Failed() {
			e.t.Logf("%s%s", r.Stdout, r.Stderr)
		}
	}()
	waitFor(e.t, "system status to tell of the registry", func() bool {
		r = e.cli("system", "status")
		return r.Code == 0 && strings.Contains(r.Stderr, "registry "+l.host()+" is left alone until ") && next.MatchString(r.Stderr) && strings.Contains(r.Stderr, reason) && !strings.Contains(r.Stderr, "others")
	})
	for _, args := range [][]string{{"system", "status"}, {"subscription", "list", l.tags[0]}, {"subscription", "list", l.tags[1]}} {
		if out := e.mustCLI(append(args, "--output", "wide")...); !strings.Contains(out, l.host()) || !next.MatchString(out) || !strings.Contains(out, reason) {
			e.t.Errorf("%v --output wide:\n%s", args, out)
		}
	}
}

// TestPullsThatAreLimited: an image that a registry refuses for now waits, for as
// long as the registry asks, and is analyzed then. Another image of that registry
// waits with it.
func TestPullsThatAreLimited(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	front := newFront(t, reg)
	first, second := ocitest.Image(ocitest.Spec{Version: "a"}), ocitest.Image(ocitest.Spec{Version: "b"})
	reg.Push(t, "limited/pull:v1", first)
	reg.Push(t, "limited/pull:v2", second)
	refused, unasked := "/blobs/"+layers(t, first)[0], "/blobs/"+layers(t, second)[0]
	pause := 3 * time.Second
	limited := ocitest.TooMany(pause)
	limited.Path, limited.Times = refused, 1
	reg.Inject(limited)
	pulls := func(layer string) []request {
		return front.requests(func(r request) bool { return strings.HasSuffix(r.Path, layer) })
	}
	e := startEngine(t, offline)
	e.mustCLI("image", "add", front.ref("limited/pull", "v1"))
	waitFor(t, "the refusal", func() bool { return len(pulls(refused)) == 1 })
	for _, tag := range []string{"v2", "v1"} {
		ref := front.ref("limited/pull", tag)
		e.mustCLI("image", "add", ref)
		if out := e.mustCLI("image", "wait", ref, "--interval", "0.1", "--timeout", "90"); !strings.Contains(out, "Analysis Status: analyzed") {
			t.Errorf("image wait:\n%s", out)
		}
	}
	again, other := pulls(refused), pulls(unasked)
	if len(again) != 2 || len(other) != 1 {
		t.Fatalf("%d pulls of a layer that was refused once, want 2, and %d of another image's, want 1", len(again), len(other))
	}
	for _, next := range []request{again[1], other[0]} {
		if wait := next.At.Sub(again[0].At); wait < pause || wait > 30*time.Second { // a minute would be the engine's own pause
			t.Errorf("a pull %v after one that was refused for %v", wait, pause)
		}
	}
}
