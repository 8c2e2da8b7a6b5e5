package intake

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Limits of what selects tags.
const (
	maxPatterns = 100
	maxPattern  = 256 // bytes
)

// selection chooses tags of a repository.
type selection struct {
	globs  []string
	ranges []*semver.Constraints
	first  string // tag that comes before all others
}

// newSelection compiles what a watch wants. A pattern that begins with one of
// < > = ! ^ ~, or that has a blank in it, is a range of semantic versions
// ("^3.18", ">=1.2 <2"), which a pre-release meets only if the range names one;
// any other is a glob (*, ?, [a-z]). None selects all. Errors: Invalid, naming the
// pattern.
func newSelection(w anchore.RepositoryWatch) (selection, error) {
	const op = "intake.newSelection"
	s := selection{first: w.LookupTag}
	if len(w.Tags) > maxPatterns {
		return s, anchore.E(anchore.Invalid, op, "%d patterns for tags were given; the most is %d", len(w.Tags), maxPatterns)
	}
	for _, p := range w.Tags {
		switch {
		case p == "" || len(p) > maxPattern:
			return s, anchore.E(anchore.Invalid, op, "the pattern %.40q for tags must have 1 to %d characters", p, maxPattern)
		case strings.ContainsAny(p[:1], "<>=!^~") || strings.Contains(p, " "):
			c, err := semver.NewConstraint(p)
			if err != nil {
				return s, anchore.E(anchore.Invalid, op, "%q is not a range of versions; give one such as ^3.18 or >=1.2 <2", p).Because(err)
			}
			s.ranges = append(s.ranges, c)
		default:
			if _, err := path.Match(p, ""); err != nil {
				return s, anchore.E(anchore.Invalid, op, "%q is not a pattern for tags; give one such as 3.* or release-?", p).Because(err)
			}
			s.globs = append(s.globs, p)
		}
	}
	return s, nil
}

// CheckWatch checks what a watch wants of a repository: its patterns, and the tag that
// it takes first, if it names one. Errors: Invalid, naming what is wrong.
func CheckWatch(w anchore.RepositoryWatch) error {
	_, err := newSelection(w)
	if err == nil && w.LookupTag != "" {
		err = anchore.CheckTag(w.LookupTag)
	}
	return err
}

// matches reports whether the tag is selected.
func (s selection) matches(tag string) bool {
	if len(s.globs) == 0 && len(s.ranges) == 0 {
		return true
	}
	for _, g := range s.globs {
		if ok, err := path.Match(g, tag); ok && err == nil {
			return true
		}
	}
	if len(s.ranges) == 0 {
		return false
	}
	v, err := semver.NewVersion(tag)
	return err == nil && slices.ContainsFunc(s.ranges, func(c *semver.Constraints) bool { return c.Check(v) })
}

// choose returns the selected tags, those that are wanted most first: the watch's
// first tag, then versions from the highest down (releases before pre-releases),
// then the others from the last in the alphabet to the first, since a list of tags
// says nothing of their age.
func (s selection) choose(tags []string) []string {
	type candidate struct {
		tag     string
		rank    int
		version *semver.Version
	}
	var list []candidate
	for _, tag := range tags {
		if !s.matches(tag) {
			continue
		}
		c := candidate{tag: tag, rank: 3}
		v, err := semver.NewVersion(tag)
		switch {
		case tag == s.first:
			c.rank = 0
		case err == nil && v.Prerelease() == "":
			c.rank, c.version = 1, v
		case err == nil:
			c.rank, c.version = 2, v
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int {
		order := cmp.Compare(a.rank, b.rank)
		if order == 0 && a.version != nil {
			order = b.version.Compare(a.version)
		}
		return cmp.Or(order, cmp.Compare(b.tag, a.tag))
	})
	chosen := make([]string, 0, len(list))
	for _, c := range list {
		chosen = append(chosen, c.tag)
	}
	return chosen
}

// firstList divides the tags that a repository has when its watch begins: those to
// take, and those to pass over, in the order of choose.
func firstList(w anchore.RepositoryWatch, chosen []string) (take, pass []string) {
	switch {
	case w.ExcludeExisting:
		return nil, chosen
	case w.MaxTags > 0 && len(chosen) > w.MaxTags:
		return chosen[:w.MaxTags], chosen[w.MaxTags:]
	}
	return chosen, nil
}
