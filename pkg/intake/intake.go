// Package intake brings an image from a reference to a committed record: resolve
// it in its registry, choose the platform, check its size, commit. The API and
// the watchers use it alike, so a move is told the same whoever sees it first.
package intake

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// Registry is what intake asks of registries.
type Registry interface {
	// Resolve returns what the reference names now, for the platform if it names
	// an index.
	Resolve(ctx context.Context, account string, ref anchore.Reference, p anchore.Platform) (anchore.Manifest, error)
}

// Catalog is what intake commits to.
type Catalog interface {
	SawTag(ctx context.Context, s catalog.Sighting) (catalog.Seen, error)
	AddDigest(ctx context.Context, d catalog.DigestAddition) (anchore.Image, error)
	TagRefused(ctx context.Context, account string, ref anchore.Reference, r catalog.Refusal) (first bool, err error)
	Raise(ctx context.Context, e anchore.Event) error
}

// Config is what an Intake is built from. Catalog and Registry are required.
type Config struct {
	Catalog  Catalog
	Registry Registry
	// MaxSize is the largest image that is taken, in MB (2^20 bytes) of its
	// compressed layers; 0 or less is no limit.
	MaxSize int
	// Platform is what an index is resolved to; the zero value is linux/amd64.
	Platform anchore.Platform
	// Platforms replaces Platform for single registries.
	Platforms map[string]anchore.Platform
	Log       *slog.Logger // nil discards
}

// Intake takes images in. It may be used from many goroutines.
type Intake struct {
	Config
}

// New builds an Intake.
func New(cfg Config) (*Intake, error) {
	if cfg.Catalog == nil || cfg.Registry == nil {
		return nil, errors.New("intake.New: Catalog and Registry are required")
	}
	cfg.Platform = cmp.Or(cfg.Platform, anchore.DefaultPlatform)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Intake{cfg}, nil
}

// Request asks for an image to be added to an account.
type Request struct {
	Account       string
	Ref           anchore.Reference // with a tag; with a digest too, that image is added under the tag
	CreatedAt     time.Time         // with a digest: the image's place in the tag's history; zero is now
	Platform      anchore.Platform  // zero is the registry's
	MaxSize       int               // MB; 0 is the configured limit
	Force         bool
	AutoSubscribe bool
	Annotations   map[string]string // "null" deletes a key
	Dockerfile    string            // base64
}

// Add resolves the reference and records the image. Errors: those of the registry
// (NotFound, Unauthorized, Limited, Unavailable, each with the API's error code);
// Invalid for an image that is too large or has no manifest for the platform.
func (in *Intake) Add(ctx context.Context, r Request) (anchore.Image, error) {
	m, err := in.Registry.Resolve(ctx, r.Account, r.Ref, cmp.Or(r.Platform, in.platform(r.Ref)))
	if err != nil {
		in.lookupFailed(ctx, r, err)
		return anchore.Image{}, err
	}
	if err := in.checkSize(m, cmp.Or(r.MaxSize, in.MaxSize)); err != nil {
		return anchore.Image{}, err
	}
	add := catalog.Addition{AutoSubscribe: r.AutoSubscribe, Force: r.Force, Annotations: r.Annotations, Dockerfile: r.Dockerfile}
	if r.Ref.Digest != "" {
		return in.Catalog.AddDigest(ctx, catalog.DigestAddition{Account: r.Account, Manifest: m, CreatedAt: r.CreatedAt, Addition: add})
	}
	seen, err := in.Catalog.SawTag(ctx, catalog.Sighting{Account: r.Account, Manifest: m, Cause: "image add", Add: &add})
	return seen.Image, err
}

// lookupFailed raises the event of a reference that the registry does not give.
func (in *Intake) lookupFailed(ctx context.Context, r Request, why error) {
	details := map[string]any{"msg": anchore.MessageOf(why)}
	var e *anchore.Error
	if errors.As(why, &e) && len(e.Codes) > 0 {
		details["error_codes"] = slices.Clone(e.Codes)
	}
	err := in.Catalog.Raise(ctx, anchore.Event{
		Account: r.Account, Type: anchore.EventRegistryLookupFailed, Level: anchore.Failure, Service: "catalog",
		Message:  "Referenced image not found in registry",
		Resource: anchore.Resource{Type: "image_reference", ID: r.Ref.String()},
		Details:  details,
	})
	if err != nil {
		in.Log.Error("the event of a failed look-up was not recorded", "image", r.Ref.String(), "error", err)
	}
}

// Look takes in what a watched tag names now, after its digest in the registry was
// found to differ from the recorded one. What is too large, or has no manifest for
// the platform, does not change the tag's state; it is told once for each document
// and limit. why is the cause: "watcher" or "hint".
func (in *Intake) Look(ctx context.Context, tag catalog.WatchedTag, digest, why string) error {
	p := in.platform(tag.Ref)
	if in.refused(tag, digest, p) {
		return nil
	}
	m, err := in.Registry.Resolve(ctx, tag.Account, tag.Ref, p)
	if isPlatformMissing(err) {
		return in.refuse(ctx, tag, catalog.Refusal{
			TagDigest: digest, Reason: catalog.RefusedPlatform, Limit: p.String(), Message: anchore.MessageOf(err),
			Details: map[string]any{"platform": p.String(), "tag_digest": digest},
		})
	}
	if err != nil {
		return err
	}
	if err := in.checkSize(m, in.MaxSize); err != nil {
		var e *anchore.Error
		errors.As(err, &e)
		return in.refuse(ctx, tag, catalog.Refusal{
			TagDigest: m.TagDigest, Digest: m.Digest, Reason: catalog.RefusedSize, Limit: strconv.Itoa(in.MaxSize),
			Message: e.Message, Details: e.Detail,
		})
	}
	_, err = in.Catalog.SawTag(ctx, catalog.Sighting{Account: tag.Account, Manifest: m, Cause: why})
	return err
}

// refused reports whether this very document was refused under a limit that still
// holds, so that looking closer would only repeat it.
func (in *Intake) refused(tag catalog.WatchedTag, digest string, p anchore.Platform) bool {
	r := tag.Refusal
	if r.TagDigest != digest {
		return false
	}
	return r.Reason == catalog.RefusedSize && r.Limit == strconv.Itoa(in.MaxSize) ||
		r.Reason == catalog.RefusedPlatform && r.Limit == p.String()
}

func (in *Intake) refuse(ctx context.Context, tag catalog.WatchedTag, r catalog.Refusal) error {
	first, err := in.Catalog.TagRefused(ctx, tag.Account, tag.Ref, r)
	if first {
		in.Log.Error("a tag names an image that is not taken", "service", "catalog", "account", tag.Account, "tag", tag.Ref.FullTag(),
			"digest", cmp.Or(r.Digest, r.TagDigest), "reason", r.Message)
	}
	return err
}

func isPlatformMissing(err error) bool {
	var e *anchore.Error
	return errors.As(err, &e) && slices.Contains(e.Codes, anchore.CodePlatformMissing)
}

func (in *Intake) platform(ref anchore.Reference) anchore.Platform {
	return cmp.Or(in.Platforms[ref.Registry], in.Platform)
}

// checkSize refuses an image above the limit: the sum of its layers in MB, rounded
// to two decimals as the original did.
func (in *Intake) checkSize(m anchore.Manifest, limit int) error {
	size := math.Round(float64(m.Size)/(1<<20)*100) / 100
	if limit <= 0 || size <= float64(limit) {
		return nil
	}
	e := anchore.E(anchore.Invalid, "intake.checkSize",
		"Image size is too large based on max size specified in the configuration: %s has %s MB, the limit is %d MB",
		m.Ref.String(), strconv.FormatFloat(size, 'f', -1, 64), limit)
	e.Detail = map[string]any{"requested_image_compressed_size_mb": size, "max_compressed_image_size_mb": limit}
	return e
}
