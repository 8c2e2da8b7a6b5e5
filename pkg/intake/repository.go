package intake

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// repositories is what intake asks of the catalog about watched repositories.
type repositories interface {
	WatchRepository(ctx context.Context, account string, ref anchore.Reference, want anchore.RepositoryWatch) (w catalog.WatchedRepository, sub anchore.Subscription, created bool, err error)
	RepositoryWatchOf(ctx context.Context, account string, ref anchore.Reference, want anchore.RepositoryWatch) (w catalog.WatchedRepository, watched bool, err error)
	TakeFirstList(ctx context.Context, w catalog.WatchedRepository, pass []string) error
	RepositoryTags(ctx context.Context, w catalog.WatchedRepository) (map[string]time.Time, error)
	RepositoryTagAdded(ctx context.Context, w catalog.WatchedRepository, tag string) (watched bool, err error)
	RepositoryTagFailed(ctx context.Context, w catalog.WatchedRepository, tag string, e anchore.Event) (first bool, err error)
}

// RepositoryRequest asks for a repository to be watched.
type RepositoryRequest struct {
	Account string
	Ref     anchore.Reference // a tag in it is ignored
	Watch   anchore.RepositoryWatch
	DryRun  bool // store nothing, only say what would be done
}

// RepositoryAddition is what came of a RepositoryRequest.
type RepositoryAddition struct {
	Subscription anchore.Subscription // of a dry run: not stored, and not active
	Created      bool                 // the account did not watch the repository before
	Tags         []string             // all that the registry has, sorted
	Matching     int                  // of them: those that the watch selects
	Add          []string             // of these: those that are (or would be) added, in that order
}

// AddRepository makes a repository watched. The tags that the registry has now, and
// that the watch wants, are taken in by the watcher, which LookRepository serves.
// Errors: Invalid as CheckWatch; NotFound if the registry has no tags,
// with its reason; Limited and Unavailable as the registry's.
func (i *Intake) AddRepository(ctx context.Context, r RepositoryRequest) (RepositoryAddition, error) {
	if err := CheckWatch(r.Watch); err != nil {
		return RepositoryAddition{}, err
	}
	sel, err := newSelection(r.Watch)
	if err != nil {
		return RepositoryAddition{}, err
	}
	tags, err := i.cfg.Registry.ListTags(ctx, r.Account, r.Ref)
	if err != nil {
		return RepositoryAddition{}, notListed(r.Ref, err)
	}
	if len(tags) == 0 {
		return RepositoryAddition{}, notListed(r.Ref, anchore.E(anchore.NotFound, "oci.ListTags", "the repository has no tags"))
	}
	chosen := sel.choose(tags)
	take, pass := firstList(r.Watch, chosen)
	added := RepositoryAddition{Tags: tags, Matching: len(chosen), Add: take}
	if r.DryRun {
		return i.dryRun(ctx, r, added)
	}
	w, sub, created, err := i.cfg.Catalog.WatchRepository(ctx, r.Account, r.Ref, r.Watch)
	if err != nil {
		return added, err
	}
	added.Subscription, added.Created = sub, created
	if added.Add, err = i.unseen(ctx, w, take); err != nil {
		return added, err
	}
	return added, i.cfg.Catalog.TakeFirstList(ctx, w, pass)
}

// dryRun completes what a dry run shows: a subscription that is not stored, and of the
// tags those that an existing watch would still add.
func (i *Intake) dryRun(ctx context.Context, r RepositoryRequest, added RepositoryAddition) (RepositoryAddition, error) {
	value, err := anchore.RepositoryValue("", r.Watch, nil)
	if err != nil {
		return added, err
	}
	added.Subscription = anchore.Subscription{Account: r.Account, Key: r.Ref.RepositoryName(), Type: anchore.RepoUpdate, Value: value}
	w, watched, err := i.cfg.Catalog.RepositoryWatchOf(ctx, r.Account, r.Ref, r.Watch)
	if err != nil || !watched {
		return added, err
	}
	added.Add, err = i.unseen(ctx, w, added.Add)
	return added, err
}

// unseen are the tags that the watch has not settled.
func (i *Intake) unseen(ctx context.Context, w catalog.WatchedRepository, tags []string) ([]string, error) {
	seen, err := i.cfg.Catalog.RepositoryTags(ctx, w)
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool {
		again, ok := seen[tag]
		return ok && again.IsZero()
	}), err
}

// notListed is the original's error for a repository without tags. What passes by
// itself keeps its kind, so that a client may try again.
func notListed(ref anchore.Reference, why error) error {
	kind := anchore.KindOf(why)
	if kind == anchore.Limited || kind == anchore.Unavailable || kind == anchore.Internal {
		return why
	}
	e := anchore.E(anchore.NotFound, "intake.AddRepository", "no tags could be added from input regrepo (%s): %s", ref.RepositoryName(), anchore.MessageOf(why)).Because(why)
	return e.WithCodes(anchore.CodesOf(why)...)
}

// tagsPerLook is how many tags one look at a repository takes in at most, so that
// a large one does not keep a registry's other tags waiting.
const tagsPerLook = 100

// LookRepository takes in what is new among the tags that a watched repository has
// now. A tag that fails is recorded, told of once and tried again later and later;
// the others are not held up by it. more says that there is more to take at once.
// An unchanged repository costs no write. Errors: Limited and Unavailable of the
// registry, after which the rest is to be taken when it answers again; those of the
// catalog; Invalid for what selects the tags.
func (i *Intake) LookRepository(ctx context.Context, w catalog.WatchedRepository, tags []string) (more bool, err error) {
	sel, err := newSelection(w.Watch)
	if err != nil {
		return false, err
	}
	chosen := sel.choose(tags)
	if !w.Taken {
		_, pass := firstList(w.Watch, chosen)
		if err := i.cfg.Catalog.TakeFirstList(ctx, w, pass); err != nil {
			return false, err
		}
	}
	fresh, err := i.due(ctx, w, chosen)
	if err != nil {
		return false, err
	}
	atOnce := tagsPerLook
	if w.Watch.MaxTags > 0 {
		atOnce = min(atOnce, w.Watch.MaxTags)
	}
	more = len(fresh) > atOnce && atOnce == tagsPerLook
	for _, tag := range fresh[:min(atOnce, len(fresh))] {
		watched, err := i.takeTag(ctx, w, tag)
		if err != nil || !watched {
			return false, err
		}
	}
	return more, nil
}

// due are the tags that the watch has not seen, then those that failed and whose
// time has come.
func (i *Intake) due(ctx context.Context, w catalog.WatchedRepository, chosen []string) ([]string, error) {
	seen, err := i.cfg.Catalog.RepositoryTags(ctx, w)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var fresh, failed []string
	for _, tag := range chosen {
		switch again, ok := seen[tag]; {
		case !ok:
			fresh = append(fresh, tag)
		case !again.IsZero() && !again.After(now):
			failed = append(failed, tag)
		}
	}
	return append(fresh, failed...), nil
}

// takeTag takes in one tag as an image add does, and reports whether its repository
// is still watched.
func (i *Intake) takeTag(ctx context.Context, w catalog.WatchedRepository, tag string) (watched bool, err error) {
	ref := w.Ref
	ref.Tag = tag
	err = newest(ref, func() error {
		state, err := i.cfg.Catalog.TagState(ctx, w.Account, ref)
		if err != nil {
			return err
		}
		m, err := i.cfg.Registry.Resolve(ctx, w.Account, ref, i.platform(ref, state.Platform))
		if err == nil {
			_, err = i.commit(ctx, Request{Account: w.Account, Ref: ref, Cause: "repository", AutoSubscribe: w.Watch.AutoSubscribe}, m, state.Version)
		}
		return err
	})
	kind := anchore.KindOf(err)
	switch {
	case err == nil:
		return i.cfg.Catalog.RepositoryTagAdded(ctx, w, tag)
	case ctx.Err() != nil || kind == anchore.Internal || kind == anchore.Limited || errors.Is(err, catalog.ErrStoreFailing):
		return false, err // says nothing of the tag
	}
	var e anchore.Event
	if kind != anchore.Unavailable { // of a registry that does not answer the watcher tells
		e = failure(ref, err)
	}
	first, recordErr := i.cfg.Catalog.RepositoryTagFailed(ctx, w, tag, e)
	if recordErr != nil {
		return false, recordErr
	}
	if first {
		i.cfg.Logger.ErrorContext(ctx, e.Message, "service", "catalog", "account", w.Account, "tag", ref.FullTag(), "reason", anchore.MessageOf(err))
	}
	if kind == anchore.Unavailable {
		return false, err // perhaps the whole registry; the other tags come first then
	}
	return true, nil
}

// failure is the event of a tag that could not be taken in.
func failure(ref anchore.Reference, why error) anchore.Event {
	e := anchore.LookupFailure(ref, why)
	message := anchore.MessageOf(why)
	switch {
	case missingPlatform(why):
		e.Type, e.Message = anchore.EventPlatformMissing, message
	case strings.HasPrefix(message, tooLarge):
		e.Type, e.Message = anchore.EventImageTooLarge, message
	default:
		return e
	}
	e.Resource = anchore.Resource{Type: "image_tag", ID: ref.FullTag()}
	return e
}
