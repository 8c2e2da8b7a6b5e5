package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// TestManyTagsOfASlowRegistry watches more tags than a registry that answers in 50
// milliseconds can keep up with, 8 at once, and which gives tokens that soon expire:
// each tag gets its turn, and a token serves all requests of its time.
func TestManyTagsOfASlowRegistry(t *testing.T) {
	t.Parallel()
	const repositories, tags, turns, tokenFor = 8, 30, 3, 3 * time.Second
	reg := registry{ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Token, TokenFor: tokenFor, Latency: 50 * time.Millisecond})}
	recv := newReceiver(t)
	e := startEngine(t, watching+general(recv))
	image := ocitest.Image(ocitest.Spec{Version: "a"})
	var refs []string
	for i := range repositories * tags {
		ref := reg.ref(fmt.Sprintf("slow/app%d", i%repositories), fmt.Sprintf("v%d", i/repositories))
		reg.put(t, ref, image)
		refs = append(refs, ref)
	}
	e.subscribe("tag_update", refs...)
	waitFor(t, "the first look at each tag", func() bool { least, _ := reg.looks(refs); return least > 0 })
	reg.Reset()
	begin := time.Now()
	waitFor(t, "more looks at each tag", func() bool { least, _ := reg.looks(refs); return least >= turns })
	if least, most := reg.looks(refs); most > 2*least {
		t.Errorf("one tag was looked at %d times, another one %d times", most, least)
	}
	tokens := reg.Requests("GET", "/token")
	took := time.Since(begin)
	renewals := 1 + int(took/(tokenFor*3/4)) // at the most: a token is used for three quarters of its life
	if tokens < repositories || tokens > repositories*renewals {
		t.Errorf("%d tokens for %d repositories in %v, want %d to %d", tokens, repositories, took, repositories, repositories*renewals)
	}
	moved := reg.push(t, refs[0], "b")
	recv.wait(t, 1, "the move of one of many", of("tag_update", refs[0]))
	if diff := cmp.Diff([]move{{image.Digest, moved}}, moves(recv, refs[0])); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

// looks returns how often those of the tags were looked at that got the fewest and
// the most looks.
func (r registry) looks(refs []string) (least, most int) {
	counts := r.Counts("HEAD")
	for i, ref := range refs {
		_, tag, _ := strings.Cut(strings.TrimPrefix(ref, r.Host()), ":")
		n := counts[r.path(ref)+"manifests/"+tag]
		if i == 0 {
			least = n
		}
		least, most = min(least, n), max(most, n)
	}
	return least, most
}
