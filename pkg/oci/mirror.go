package oci

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Sources remembers which of a registry's sources, its mirrors and itself, answers
// an account for a tag, or for a repository's list of tags if ref has no tag.
type Sources interface {
	// TagSource returns it, "" if none is known. It is asked before each request for a
	// tag, so it must be quick.
	TagSource(ctx context.Context, account string, ref anchore.Reference) (string, error)
	// SetTagSource is called when it changes.
	SetTagSource(ctx context.Context, account string, ref anchore.Reference, source string) error
}

// A tag's source stays the same while it works, and what it answers is believed:
// of two sources one may lag behind, and asking now this, now that one would make
// the tag flap between two digests. A source that fails is left only when it, or the
// tag there, has failed so often, for so long, without an answer in between: a tag
// waits no longer because others were asked for while the source was down.
const (
	patience      = 15 * time.Minute
	patientErrors = 3
)

// source is a place to ask for a registry's repositories: "mirror.example.com", or
// with what stands before their names there: "harbor.example.com/proxy".
type source string

// ref is what the reference is called at the source.
func (s source) ref(ref anchore.Reference) anchore.Reference {
	host, prefix, ok := strings.Cut(string(s), "/")
	ref.Registry = host
	if ok {
		ref.Repository = prefix + "/" + ref.Repository
	}
	return ref
}

// sources are the mirrors of a registry, then itself.
func (c *Client) sources(registry string) []source {
	var list []source
	for _, m := range c.cfg.Registries[registry].Mirrors {
		list = append(list, source(m))
	}
	return append(list, source(registry))
}

// untilClose remembers sources where nobody else does.
type untilClose struct{ known sync.Map } // by tagKey

func (u *untilClose) TagSource(_ context.Context, account string, ref anchore.Reference) (string, error) {
	found, _ := u.known.Load(tagKey{account, ref.String()})
	at, _ := found.(string)
	return at, nil
}

func (u *untilClose) SetTagSource(_ context.Context, account string, ref anchore.Reference, source string) error {
	u.known.Store(tagKey{account, ref.String()}, source)
	return nil
}

// troubles are the sources that do not answer. What tags are chosen for is kept in
// Sources alone: an account may be deleted, and another one get its name.
type troubles struct {
	mu     sync.Mutex
	tags   map[tagKey]trouble // those whose last question failed
	health map[source]*health
}

type tagKey struct{ account, tag string }

// trouble is how a tag has been doing at its source.
type trouble struct {
	source source
	health health
}

// maxTroubles bounds what is kept of tags, which any user may name. Where more fail,
// each waits for its source anew.
const maxTroubles = 100_000

// health counts failures since the last answer.
type health struct {
	failures int
	since    time.Time // of the first of them
	told     bool      // the log says so
}

// note counts what came of a request, and reports whether patience is at an end.
func (h *health) note(failed bool, now time.Time) bool {
	if !failed {
		*h = health{}
		return false
	}
	if h.failures++; h.failures == 1 {
		h.since = now
	}
	return h.failures >= patientErrors && now.Sub(h.since) >= patience
}

// doAtSources is do for a registry with mirrors.
func (c *Client) doAtSources(ctx context.Context, r request) (*http.Response, error) {
	all := c.sources(r.Ref.Registry)
	if r.byContent() {
		// Any source will do: what it sends is verified.
		_, res, err := c.firstOf(ctx, r, all)
		return res, err
	}
	key := anchore.Reference{Registry: r.Ref.Registry, Repository: r.Ref.Repository, Tag: r.Ref.Tag}
	at, err := c.sourceOf(ctx, r.account, key, all)
	if err != nil {
		return nil, err
	}
	if at != "" {
		asked := r
		asked.Ref = at.ref(r.Ref)
		res, err := c.ask(ctx, asked)
		if ctx.Err() != nil {
			return res, err
		}
		leave, news := c.troubles.left(tagKey{r.account, key.String()}, at, err, time.Now())
		if !leave {
			return res, err
		}
		if news {
			c.cfg.Logger.WarnContext(ctx, "a source has failed for long; its tags go over to the next one that has them", "source", string(at), "ref", key.String(), "err", err)
		}
		others := slices.DeleteFunc(slices.Clone(all), func(s source) bool { return s == at })
		next, res, second := c.firstOf(ctx, r, others)
		if second != nil {
			return nil, err // the one that it stays with
		}
		return c.choose(ctx, r, key, next, res)
	}
	at, res, err := c.firstOf(ctx, r, all)
	if err != nil {
		return nil, err
	}
	return c.choose(ctx, r, key, at, res)
}

// byContent reports whether the request names what it wants by its digest.
func (r request) byContent() bool {
	_, name, _ := strings.Cut(r.Path, "/")
	return strings.HasPrefix(r.Path, "blobs/") || strings.HasPrefix(r.Path, "manifests/") && anchore.IsDigest(name)
}

// firstOf asks the sources in their order and returns the first answer. The error
// is that of the last one, which is the registry itself; but that one does not have
// what was asked for only if none was unable to say.
func (c *Client) firstOf(ctx context.Context, r request, all []source) (at source, res *http.Response, err error) {
	var unable error
	for _, at = range all {
		asked := r
		asked.Ref = at.ref(r.Ref)
		if res, err = c.ask(ctx, asked); err == nil || ctx.Err() != nil {
			return at, res, err
		}
		if kind := anchore.KindOf(err); kind == anchore.Unavailable || kind == anchore.Limited {
			unable = err
		}
	}
	if unable != nil && anchore.KindOf(err) == anchore.NotFound {
		err = unable
	}
	return "", nil, err
}

// choose makes at the source of a tag, for which it answered with res.
func (c *Client) choose(ctx context.Context, r request, key anchore.Reference, at source, res *http.Response) (*http.Response, error) {
	if err := c.cfg.Sources.SetTagSource(ctx, r.account, key, string(at)); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	c.troubles.mu.Lock()
	defer c.troubles.mu.Unlock()
	delete(c.troubles.tags, tagKey{r.account, key.String()})
	return res, nil
}

// Source returns who is asked what ref names for the account, or for the repository's
// list of tags if ref has no tag: the registry; or of one with mirrors the host of the
// source, and while that is not known, words for them all. It asks no registry. Errors:
// those of Config.Sources.
func (c *Client) Source(ctx context.Context, account string, ref anchore.Reference) (string, error) {
	if len(c.cfg.Registries[ref.Registry].Mirrors) == 0 {
		return ref.Registry, nil
	}
	ref.Digest = ""
	at, err := c.sourceOf(ctx, account, ref, c.sources(ref.Registry))
	if at == "" {
		return ref.Registry + " and its mirrors", err
	}
	host, _, _ := strings.Cut(string(at), "/")
	return host, nil
}

// sourceOf returns the source of a tag, "" if it has none, or none that is still
// configured.
func (c *Client) sourceOf(ctx context.Context, account string, ref anchore.Reference, all []source) (source, error) {
	stored, err := c.cfg.Sources.TagSource(ctx, account, ref)
	if err != nil || !slices.Contains(all, source(stored)) {
		return "", err
	}
	return source(stored), nil
}

// left notes what came of asking a tag's source, at, and reports whether it is to be
// left, and whether that is news. That it has no such tag (any more), or allows no more
// requests for now, is an answer. What it does not let one login do is a failure of the
// tag alone, and what did not ask it is nothing.
func (s *troubles) left(key tagKey, at source, err error, now time.Time) (leave, news bool) {
	if errors.Is(err, anchore.ErrNotAsked) {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := anchore.KindOf(err)
	failed := err != nil && kind != anchore.NotFound && kind != anchore.Limited
	leave = s.noteTag(key, at, failed, now)
	whole := s.health[at]
	if whole == nil {
		whole = &health{}
		s.health[at] = whole
	}
	if !failed || kind != anchore.Unauthorized && kind != anchore.Forbidden {
		leave = whole.note(failed, now) || leave
	}
	news = leave && !whole.told
	whole.told = whole.told || leave
	return leave, news
}

// noteTag counts what came of asking for one tag at its source, and reports whether
// patience is at an end.
func (s *troubles) noteTag(key tagKey, at source, failed bool, now time.Time) bool {
	if !failed {
		delete(s.tags, key)
		return false
	}
	tag, known := s.tags[key]
	if tag.source != at { // it went over to another one since
		tag = trouble{source: at}
	}
	leave := tag.health.note(true, now)
	if !known && len(s.tags) >= maxTroubles {
		clear(s.tags)
	}
	s.tags[key] = tag
	return leave
}
