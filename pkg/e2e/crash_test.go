package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

const (
	crashRounds = 120
	crashTags   = 12
	crashTime   = 3 * time.Minute // for all rounds together
)

// TestKilledEngineLosesNothing kills the engine again and again while tags move,
// at the moment of a random request that it makes. Afterwards every move that it
// recorded was delivered, under one id, in order.
func TestKilledEngineLosesNothing(t *testing.T) {
	reg, recv := newRegistry(t), newReceiver(t)
	var trap trap
	front := newFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trap.count()
		reg.ServeHTTP(w, r)
	}))
	recv.answers(func(delivery) reply { trap.count(); return fine })

	e := startEngine(t, watching+general(recv))
	refs := make([]string, crashTags) // through the front, which counts
	for i := range refs {
		refs[i] = front.ref(fmt.Sprintf("crash/app%d", i), "v1")
		reg.push(t, reg.ref(fmt.Sprintf("crash/app%d", i), "v1"), "0")
		e.mustCLI("image", "add", refs[i])
	}
	e.kill()

	last := map[string]string{} // what each tag names now
	stop := time.Now().Add(crashTime)
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 0
	for ; rounds < crashRounds; rounds++ {
		if time.Now().After(stop) {
			t.Fatalf("only %d rounds in %v", rounds, crashTime)
		}
		for range 1 + random.IntN(3) {
			i := random.IntN(crashTags)
			version := fmt.Sprintf("%d.%d", rounds, i)
			last[refs[i]] = reg.push(t, reg.ref(fmt.Sprintf("crash/app%d", i), "v1"), version)
		}
		sprung := trap.set(1+random.IntN(8), time.Duration(random.IntN(15))*time.Millisecond)
		e.launch()
		select {
		case <-sprung:
		case <-e.exited:
			t.Fatalf("round %d: the engine ended by itself: %v\n%s", rounds, e.waitErr, e.log)
		case <-time.After(patience):
			t.Fatalf("round %d: the engine made no request; its log:\n%s", rounds, e.log)
		}
		e.kill()
	}
	t.Logf("killed %d times", rounds)
	e.start()
	checkNothingLost(t, e, recv, refs, last)
}

// TestKilledWhileFetching kills the engine more often than an image may crash it, but
// while its layers are fetched: that is not the image's doing.
func TestKilledWhileFetching(t *testing.T) {
	reg := newRegistry(t)
	ref := reg.ref("crash/slow", "v1")
	image := ocitest.Image(ocitest.Spec{Version: "1.0.0"})
	reg.put(t, ref, image)
	layer := layers(t, image)[0]
	const kills = 4
	reg.Inject(ocitest.Fault{Method: http.MethodGet, Path: layer, Times: kills, Delay: patience})
	e := startEngine(t, watching)
	e.mustCLI("image", "add", ref)
	for n := 1; n <= kills; n++ {
		waitFor(t, "a fetch", func() bool { return reg.Requests(http.MethodGet, layer) >= n })
		e.kill()
		e.start()
	}
	e.mustCLI("image", "wait", ref, "--interval", "0.1")
}

// checkNothingLost waits until the engine has seen the last state of every tag and
// compares what it recorded with what was delivered.
func checkNothingLost(t *testing.T, e *engine, recv *receiver, refs []string, last map[string]string) {
	t.Helper()
	total, repeated := 0, 0
	for _, ref := range refs {
		var recorded []move
		if last[ref] != "" {
			waitFor(t, "the last move of "+ref, func() bool {
				recorded = recordedMoves(e, ref)
				return len(recorded) > 0 && recorded[len(recorded)-1].To == last[ref]
			})
		}
		waitFor(t, "the delivery of all moves of "+ref, func() bool { return len(moves(recv, ref)) >= len(recorded) })
		if diff := cmp.Diff(recorded, moves(recv, ref)); diff != "" {
			t.Errorf("%s: moves recorded and told (-recorded +told):\n%s", ref, diff)
		}
		for i := 1; i < len(recorded); i++ {
			if recorded[i].From != recorded[i-1].To {
				t.Errorf("%s: a move from %s follows one to %s", ref, recorded[i].From, recorded[i-1].To)
			}
		}
		total += len(recorded)
		repeated += len(recv.deliveries(of("tag_update", ref))) - len(recorded)
	}
	if total < crashRounds/4 { // on a busy machine fewer rounds get as far as a move
		t.Errorf("only %d moves were recorded in %d rounds", total, crashRounds)
	}
	t.Logf("%d moves recorded, all told; %d deliveries were repeats", total, repeated)
	for _, ref := range refs {
		checkAnalysesTold(t, e, recv, ref)
	}
}

// checkAnalysesTold waits until every analysis that was recorded for a tag has
// been delivered, and checks that each has one id.
func checkAnalysesTold(t *testing.T, e *engine, recv *receiver, ref string) {
	t.Helper()
	var recorded []string
	for _, completed := range e.events("user.image.analysis.completed", ref) {
		eval, _ := completed.Event.Details["curr_eval"].(map[string]any)
		recorded = append(recorded, text(eval["imageDigest"]))
	}
	ids := map[string]map[string]bool{} // by digest
	waitFor(t, "the delivery of all analyses of "+ref, func() bool {
		for _, d := range recv.deliveries(of("analysis_update", ref)) {
			p := d.payload()
			if ids[p.DigestAfter] == nil {
				ids[p.DigestAfter] = map[string]bool{}
			}
			ids[p.DigestAfter][p.NotificationID] = true
		}
		return !slices.ContainsFunc(recorded, func(digest string) bool { return len(ids[digest]) == 0 })
	})
	for digest, seen := range ids {
		if len(seen) != 1 {
			t.Errorf("%s: the analysis of %s was told under %d ids, want 1", ref, digest, len(seen))
		}
	}
}

// recordedMoves returns the moves of a tag in the event log, oldest first.
func recordedMoves(e *engine, ref string) []move {
	e.t.Helper()
	events := e.events("user.image.tag.updated", ref)
	list := make([]move, 0, len(events))
	for i := len(events) - 1; i >= 0; i-- {
		d := events[i].Event.Details
		list = append(list, move{text(d["last_digest"]), text(d["current_digest"])})
	}
	return list
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// trap counts the requests that the engine makes, and springs at one of them.
type trap struct {
	mu     sync.Mutex
	left   int
	delay  time.Duration
	sprung chan struct{}
}

// set arms the trap: the returned channel closes after n requests and the delay.
func (t *trap) set(n int, delay time.Duration) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left, t.delay, t.sprung = n, delay, make(chan struct{})
	return t.sprung
}

func (t *trap) count() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left--
	if t.left == 0 && t.sprung != nil {
		sprung := t.sprung
		time.AfterFunc(t.delay, func() { close(sprung) })
	}
}
