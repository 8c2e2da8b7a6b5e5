package intake

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestChoose(t *testing.T) {
	tags := []string{"1", "1.2", "1.2.3-rc1", "2.0.0", "10.0", "alpha", "beta", "edge", "latest", "sha-1234", "v3.1.0"}
	for _, tt := range []struct {
		patterns []string
		want     string
	}{
		{nil, "latest 10.0 v3.1.0 2.0.0 1.2 1 1.2.3-rc1 sha-1234 edge beta alpha"},
		{[]string{"*"}, "latest 10.0 v3.1.0 2.0.0 1.2 1 1.2.3-rc1 sha-1234 edge beta alpha"},
		{[]string{"1.*"}, "1.2 1.2.3-rc1"},
		{[]string{"[ab]*", "edge"}, "edge beta alpha"},
		{[]string{">=1.2 <3"}, "2.0.0 1.2"},
		{[]string{"^1"}, "1.2 1"},
		{[]string{"^3 || ~1.2"}, "v3.1.0 1.2"},
		{[]string{">=1.2.3-0 <2"}, "1.2.3-rc1"},
		{[]string{">=1.2-0 <2"}, "1.2 1.2.3-rc1"},
		{[]string{"=2.0.0", "sha-*"}, "2.0.0 sha-1234"},
		{[]string{"none"}, ""},
	} {
		sel, err := newSelection(anchore.RepositoryWatch{Tags: tt.patterns, LookupTag: "latest"})
		if err != nil {
			t.Errorf("newSelection(%q): %v", tt.patterns, err)
			continue
		}
		if diff := cmp.Diff(tt.want, strings.Join(sel.choose(tags), " ")); diff != "" {
			t.Errorf("choose with %q (-want +got):\n%s", tt.patterns, diff)
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, patterns := range [][]string{{""}, {"["}, {">="}, {"^x.y.z.w"}, {"1 2 3 a"}, {strings.Repeat("a", 257)}, slices.Repeat([]string{"a"}, 101)} {
		if _, err := newSelection(anchore.RepositoryWatch{Tags: patterns}); anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("newSelection(%.60q) = %v, want Invalid", patterns, err)
		}
	}
}

func TestCheckWatch(t *testing.T) {
	for _, tt := range []struct {
		watch anchore.RepositoryWatch
		err   string
	}{
		{watch: anchore.RepositoryWatch{}},
		{watch: anchore.RepositoryWatch{LookupTag: "latest", Tags: []string{"3.*", "^2"}}},
		{anchore.RepositoryWatch{Tags: []string{"["}}, `"[" is not a pattern for tags`},
		{anchore.RepositoryWatch{LookupTag: "bad tag!"}, `"bad tag!" is not a tag; expected up to 128 letters`},
		{anchore.RepositoryWatch{LookupTag: "a@sha256:" + strings.Repeat("0", 64)}, "is not a tag"},
	} {
		err := CheckWatch(tt.watch)
		if (err == nil) != (tt.err == "") || err != nil && (anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), tt.err)) {
			t.Errorf("CheckWatch(%+v) = %v, want Invalid with %q", tt.watch, err, tt.err)
		}
	}
}

func TestFirstList(t *testing.T) {
	chosen := []string{"c", "b", "a"}
	for _, tt := range []struct {
		watch      anchore.RepositoryWatch
		take, pass string
	}{
		{anchore.RepositoryWatch{MaxTags: 2}, "c b", "a"},
		{anchore.RepositoryWatch{MaxTags: 3}, "c b a", ""},
		{anchore.RepositoryWatch{}, "c b a", ""},
		{anchore.RepositoryWatch{MaxTags: 2, ExcludeExisting: true}, "", "c b a"},
	} {
		take, pass := firstList(tt.watch, chosen)
		if strings.Join(take, " ") != tt.take || strings.Join(pass, " ") != tt.pass {
			t.Errorf("firstList(%+v) = %q, %q; want %q, %q", tt.watch, take, pass, tt.take, tt.pass)
		}
	}
}

// FuzzSelection: what a pattern selects is part of what there is, each tag once,
// and a tag without any special character selects itself.
func FuzzSelection(f *testing.F) {
	f.Add("3.*", "3.18 3.19 latest")
	f.Add(">=1.2 <2 || ^4", "1.2.3 1.3.0-rc1 v4 4.0")
	f.Add("[a-", "a")
	f.Add("~", "")
	f.Fuzz(func(t *testing.T, pattern, list string) {
		tags := strings.Fields(list)
		slices.Sort(tags)
		tags = slices.Compact(tags)
		sel, err := newSelection(anchore.RepositoryWatch{Tags: []string{pattern}, LookupTag: "latest"})
		if err != nil {
			if anchore.KindOf(err) != anchore.Invalid {
				t.Fatalf("newSelection(%q) = %v, want Invalid", pattern, err)
			}
			return
		}
		got := sel.choose(tags)
		slices.Sort(got)
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("choose with %q of %q = %q, a tag twice", pattern, tags, got)
		}
		for _, tag := range got {
			if _, ok := slices.BinarySearch(tags, tag); !ok {
				t.Errorf("choose with %q of %q = %q, which it was not given", pattern, tags, tag)
			}
		}
		if _, ok := slices.BinarySearch(tags, pattern); ok && !strings.ContainsAny(pattern, `*?[\<>=!^~`) && !slices.Contains(got, pattern) {
			t.Errorf("choose with %q of %q = %q, without the tag itself", pattern, tags, got)
		}
	})
}
