// Package intake is the way from a reference to a committed image: ask the
// registry, choose the platform, check the size, commit. The API and the watcher
// go this one way, so that they cannot disagree on what is taken.
package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// resolver is what intake asks of a registry; oci.Client is one.
type resolver interface {
	// Resolve returns what ref names for the platform. With an error of code
	// OSARCH_MISMATCH the manifest has its TagDigest.
	Resolve(ctx context.Context, account string, ref anchore.Reference, platform anchore.Platform) (anchore.Manifest, error)
	// ListTags returns the tags of ref's repository, sorted.
	ListTags(ctx context.Context, account string, ref anchore.Reference) ([]string, error)
}

// recorder is what intake asks of the catalog.
type recorder interface {
	repositories
	importer
	SawTag(ctx context.Context, s catalog.Sighting) (catalog.Seen, error)
	AddDigest(ctx context.Context, d catalog.DigestAddition) (anchore.Image, error)
	TagRefused(ctx context.Context, account string, ref anchore.Reference, version uint64, r catalog.Refusal) (first bool, err error)
	Raise(ctx context.Context, e anchore.Event) error
	TagState(ctx context.Context, account string, ref anchore.Reference) (catalog.TagState, error)
}

// Config configures an Intake. Registry and Catalog are required.
type Config struct {
	Registry  resolver
	Catalog   recorder
	Platform  anchore.Platform            // what a multi-platform tag is resolved to; zero: linux/amd64
	Platforms map[string]anchore.Platform // by registry host, where it differs
	MaxSizeMB float64                     // largest image, compressed, in units of 1048576 bytes; 0 or less: any
	Logger    *slog.Logger                // nil: none
}

// Intake takes images in. It is safe for concurrent use.
type Intake struct{ cfg Config }

// New makes an Intake. Errors: Invalid, naming the field that is missing.
func New(cfg Config) (*Intake, error) {
	if cfg.Registry == nil || cfg.Catalog == nil {
		return nil, anchore.E(anchore.Invalid, "intake.New", "Config.Registry and Config.Catalog are required")
	}
	if cfg.Platform == (anchore.Platform{}) {
		cfg.Platform = anchore.DefaultPlatform
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Intake{cfg: cfg}, nil
}

// Request asks for an image to be added to an account.
type Request struct {
	Account       string
	Ref           anchore.Reference // with a tag; with a digest too if it is added by digest
	Platform      anchore.Platform  // the tag is followed for it from now on; zero: as before, or as configured for the registry
	MaxSizeMB     *float64          // nil: as configured; 0 or less: any
	CreatedAt     time.Time         // by digest: its place in the tag's history; zero: now
	Cause         string            // "": "image add"
	Force         bool              // analyze it again
	AutoSubscribe bool              // watch the tag from now on
	Annotations   map[string]string // merged; the value "null" deletes a key
	Dockerfile    string            // base64, "" for none
}

// Add takes in what the request names: by tag, as the tag's present image; by
// digest, into the tag's history. Errors: those of oci.Client.Resolve (an event
// tells of them too), Invalid for an image that is too large, those of the catalog.
func (i *Intake) Add(ctx context.Context, r Request) (anchore.Image, error) {
	if r.Ref.Tag == "" {
		return anchore.Image{}, anchore.E(anchore.Invalid, "intake.Add", "%s has no tag; give the tag that the digest is to be known under", r.Ref)
	}
	var img anchore.Image
	err := newest(r.Ref, func() error {
		state, err := i.cfg.Catalog.TagState(ctx, r.Account, r.Ref)
		if err != nil {
			return err
		}
		m, err := i.cfg.Registry.Resolve(ctx, r.Account, r.Ref, i.platform(r.Ref, r.Platform, state.Platform))
		if err != nil {
			i.lookupFailed(ctx, r, err)
			return err
		}
		if img, err = i.commit(ctx, r, m, state.Version); errors.Is(err, errTooLarge) {
			i.addTooLarge(ctx, r, m, state.Version)
		}
		return err
	})
	return img, err
}

// addTooLarge tells of an image that somebody adds and that is too large: as a look
// does, once, if the configured limit says so; else for this request.
func (i *Intake) addTooLarge(ctx context.Context, r Request, m anchore.Manifest, version uint64) {
	var err error
	if r.MaxSizeMB == nil && r.Ref.Digest == "" {
		_, err = i.refuse(ctx, catalog.WatchedTag{Account: r.Account, Ref: r.Ref}, version, i.largeRefusal(r.Ref, m))
	} else {
		limit := i.cfg.MaxSizeMB
		if r.MaxSizeMB != nil {
			limit = *r.MaxSizeMB
		}
		message := largeMessage(r.Ref, m, limit)
		i.cfg.Logger.ErrorContext(ctx, message, "service", "catalog", "account", r.Account, "tag", r.Ref.FullTag(), "digest", m.Digest)
		err = i.cfg.Catalog.Raise(ctx, anchore.Event{
			Type: anchore.EventImageTooLarge, Level: anchore.Failure, Service: "catalog", Account: r.Account,
			Message: message, Resource: anchore.Resource{Type: "image_tag", ID: r.Ref.FullTag()}, Details: sizeDetail(m, limit),
		})
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, catalog.ErrSeenMeanwhile) { // what was seen meanwhile counts
		i.cfg.Logger.ErrorContext(ctx, "event not recorded", "event", anchore.EventImageTooLarge, "err", err)
	}
}

// largeRefusal is what is recorded of an image that exceeds the configured limit.
func (i *Intake) largeRefusal(ref anchore.Reference, m anchore.Manifest) catalog.Refusal {
	return catalog.Refusal{
		TagDigest: m.TagDigest, Digest: m.Digest, Reason: catalog.RefusedSize, Limit: limitText(i.cfg.MaxSizeMB),
		Message: largeMessage(ref, m, i.cfg.MaxSizeMB), Details: sizeDetail(m, i.cfg.MaxSizeMB),
	}
}

func largeMessage(ref anchore.Reference, m anchore.Manifest, limit float64) string {
	return fmt.Sprintf("%s: %s has %.2f MB, the limit is %s MB", tooLarge, ref, sizeMB(m.Size), limitText(limit))
}

// maxAsks is how often a registry is asked what a tag names, while others record
// meanwhile that it moved.
const maxAsks = 5

// newest runs ask, which asks a registry what ref names and records it, again as long
// as the answer may be older than what others recorded meanwhile. Of two answers that
// cross, the older one would be a move back that never was.
func newest(ref anchore.Reference, ask func() error) error {
	for range maxAsks {
		if err := ask(); !errors.Is(err, catalog.ErrSeenMeanwhile) {
			return err
		}
	}
	return anchore.E(anchore.Conflict, "intake.newest", "%s moves faster than it can be looked at; try again", ref)
}

// commit records what the registry said of a request. version is the tag's from before
// that.
func (i *Intake) commit(ctx context.Context, r Request, m anchore.Manifest, version uint64) (anchore.Image, error) {
	limit := i.cfg.MaxSizeMB
	if r.MaxSizeMB != nil {
		limit = *r.MaxSizeMB
	}
	if err := checkSize(m, limit); err != nil {
		return anchore.Image{}, err
	}
	add := catalog.Addition{AutoSubscribe: r.AutoSubscribe, Force: r.Force, Annotations: r.Annotations, Dockerfile: r.Dockerfile, Platform: r.Platform}
	if r.Ref.Digest != "" {
		return i.cfg.Catalog.AddDigest(ctx, catalog.DigestAddition{Account: r.Account, Manifest: m, CreatedAt: r.CreatedAt, Addition: add})
	}
	cause := r.Cause
	if cause == "" {
		cause = "image add"
	}
	seen, err := i.cfg.Catalog.SawTag(ctx, catalog.Sighting{Account: r.Account, Manifest: m, Version: version, Cause: cause, Add: &add})
	return seen.Image, err
}

// lookupFailed raises the event of a registry that did not give the image.
func (i *Intake) lookupFailed(ctx context.Context, r Request, cause error) {
	if ctx.Err() != nil {
		return
	}
	e := anchore.LookupFailure(r.Ref, cause)
	e.Account = r.Account
	if err := i.cfg.Catalog.Raise(ctx, e); err != nil {
		i.cfg.Logger.ErrorContext(ctx, "event not recorded", "event", e.Type, "err", err)
	}
}

// Look takes in what a watched tag names now, tagDigest being what the registry
// said a moment ago. cause is "watcher" or "hint". It writes nothing, and asks the
// registry nothing, if that is recorded already or was refused for a reason that
// still holds. A refusal, of an image that is too large or that lacks the platform,
// is returned as long as it holds, zero if what the tag names is recorded; it is
// recorded and logged once, and is no error. Errors: those of oci.Client.Resolve and
// of the catalog; nothing is said of a refusal then.
func (i *Intake) Look(ctx context.Context, w catalog.WatchedTag, tagDigest, cause string) (refused catalog.Refusal, err error) {
	platform := i.platform(w.Ref, w.Platform)
	if i.settled(w, tagDigest, platform) {
		return w.Refusal, nil
	}
	err = newest(w.Ref, func() (err error) {
		refused, err = i.look(ctx, w, platform, cause)
		return err
	})
	return refused, err
}

func (i *Intake) look(ctx context.Context, w catalog.WatchedTag, platform anchore.Platform, cause string) (catalog.Refusal, error) {
	state, err := i.cfg.Catalog.TagState(ctx, w.Account, w.Ref)
	if err != nil {
		return catalog.Refusal{}, err
	}
	m, err := i.cfg.Registry.Resolve(ctx, w.Account, w.Ref, platform)
	if missingPlatform(err) {
		return i.refuse(ctx, w, state.Version, catalog.Refusal{
			TagDigest: m.TagDigest, Reason: catalog.RefusedPlatform, Limit: platform.String(),
			Message: anchore.MessageOf(err), Details: map[string]any{"tag_digest": m.TagDigest, "platform": platform.String()},
		})
	}
	if err != nil {
		return catalog.Refusal{}, err
	}
	if checkSize(m, i.cfg.MaxSizeMB) != nil {
		return i.refuse(ctx, w, state.Version, i.largeRefusal(w.Ref, m))
	}
	_, err = i.cfg.Catalog.SawTag(ctx, catalog.Sighting{Account: w.Account, Manifest: m, Version: state.Version, Cause: cause})
	return catalog.Refusal{}, err
}

// settled reports whether there is nothing to do about what the tag names: it is
// recorded, and the tag did not come back from deletion, or it was refused under
// the limit or platform of now.
func (i *Intake) settled(w catalog.WatchedTag, tagDigest string, platform anchore.Platform) bool {
	if !w.GoneSince.IsZero() {
		return false
	}
	if w.Refusal.Reason != "" && w.Refusal.TagDigest == tagDigest {
		switch w.Refusal.Reason {
		case catalog.RefusedSize:
			return w.Refusal.Limit == limitText(i.cfg.MaxSizeMB)
		case catalog.RefusedPlatform:
			return w.Refusal.Limit == platform.String()
		}
	}
	return w.Refusal.Reason == "" && w.TagDigest == tagDigest
}

func (i *Intake) refuse(ctx context.Context, w catalog.WatchedTag, version uint64, r catalog.Refusal) (catalog.Refusal, error) {
	first, err := i.cfg.Catalog.TagRefused(ctx, w.Account, w.Ref, version, r)
	if first {
		i.cfg.Logger.ErrorContext(ctx, r.Message, "service", "catalog", "account", w.Account, "tag", w.Ref.FullTag(), "digest", r.TagDigest, "reason", r.Reason, "limit", r.Limit)
	}
	if err != nil {
		return catalog.Refusal{}, err
	}
	return r, nil
}

func missingPlatform(err error) bool {
	return slices.Contains(anchore.CodesOf(err), anchore.CodePlatformMissing)
}

// platform is the first of those that were asked for, else what is configured.
func (i *Intake) platform(ref anchore.Reference, asked ...anchore.Platform) anchore.Platform {
	if p := cmp.Or(asked...); p != (anchore.Platform{}) {
		return p
	}
	if p, ok := i.cfg.Platforms[ref.Registry]; ok && p != (anchore.Platform{}) {
		return p
	}
	return i.cfg.Platform
}

var errTooLarge = errors.New("intake: the image exceeds a limit")

// tooLarge is the original's message.
const tooLarge = "Image size is too large based on max size specified in the configuration"

// checkSize applies the original's rule: the layers' sizes in the manifest, in
// units of 1048576 bytes, rounded to two decimals, are at most the limit.
func checkSize(m anchore.Manifest, limit float64) error {
	if limit <= 0 || sizeMB(m.Size) <= limit {
		return nil
	}
	e := anchore.E(anchore.Invalid, "intake.checkSize", tooLarge).Because(errTooLarge)
	e.Detail = sizeDetail(m, limit)
	return e
}

func sizeMB(bytes int64) float64 { return math.Round(float64(bytes)/1048576*100) / 100 }

func limitText(limit float64) string { return fmt.Sprintf("%g", limit) }

func sizeDetail(m anchore.Manifest, limit float64) map[string]any {
	return map[string]any{"requested_image_compressed_size_mb": sizeMB(m.Size), "max_compressed_image_size_mb": limit}
}
