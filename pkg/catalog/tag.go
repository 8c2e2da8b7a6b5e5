package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Sighting is a tag seen to name a manifest.
type Sighting struct {
	Account  string
	Manifest anchore.Manifest // its Ref has the tag
	Version  uint64           // of TagState, from before the registry was asked
	Cause    string           // why somebody looked: "watcher", "hint", "image add"
	Add      *Addition        // set by an explicit add, nil when a watcher saw it
}

// Addition is what somebody who adds an image asks for besides.
type Addition struct {
	AutoSubscribe bool              // tag_update may be active from the start
	Force         bool              // analyze again what was analyzed
	Annotations   map[string]string // merged; the value "null" deletes a key
	Dockerfile    string            // base64, "" for none
	Platform      anchore.Platform  // the tag is followed for from now on; zero leaves it as it was
}

// Seen is what a sighting came to.
type Seen struct {
	Image   anchore.Image
	First   bool   // the tag was never seen before, or not for this platform: a silent baseline
	Moved   bool   // it named another image
	Rebuilt bool   // only the index around the same image changed
	Before  string // the image's digest that was recorded before
}

// ErrSeenMeanwhile is the cause of a Conflict: what the tag names was recorded anew
// after the registry was asked, so that what it answered may be the older of the two.
// Who looks asks again.
var ErrSeenMeanwhile = errors.New("catalog: the tag was seen meanwhile")

// SawTag records what a tag names now. In one transaction: the tag and its
// history, the image, its place in the analysis queue, the event, and the cause of
// the notification if tag_update is active. It writes nothing if nothing changed.
// Moving back (A, B, A) is a move. Errors: NotFound for the account, Invalid for a
// Dockerfile of an image that exists without Force, Conflict because of
// ErrSeenMeanwhile.
func (c *Catalog) SawTag(ctx context.Context, s Sighting) (Seen, error) {
	in, err := c.arrive(ctx, s.Manifest, s.Add)
	if err != nil {
		return Seen{}, err
	}
	in.why, in.version = s.Cause, s.Version
	var seen Seen
	err = c.store.UpdateAccount(ctx, s.Account, func(tx store.Tx, acct *account.Row) (err error) {
		seen, err = c.sawTag(tx, acct, in)
		return err
	})
	if err != nil {
		return Seen{}, err
	}
	c.arrived()
	if seen.Moved {
		c.deliveryReady.Wake() // its event may be told, also if nobody subscribes to the move
	}
	seen.Image, err = c.Image(ctx, s.Account, s.Manifest.Digest)
	return seen, err
}

func seenMeanwhile(op, tag string) error {
	return anchore.E(anchore.Conflict, op, "%s was seen to move while the registry was asked; try again", tag).Because(ErrSeenMeanwhile)
}

// arrived wakes whoever may have work now.
func (c *Catalog) arrived() {
	c.analysisReady.Wake()
	c.causesReady.Wake()
	c.subscriptionsChanged.Wake()
}

func (c *Catalog) sawTag(tx store.Tx, acct *account.Row, in arrival) (Seen, error) {
	m, tag := in.manifest, in.manifest.Ref.FullTag()
	old, next, err := image.EditTag(tx, acct.No, tag)
	if err != nil {
		return Seen{}, err
	}
	if next.Version != in.version {
		return Seen{}, seenMeanwhile("catalog.SawTag", tag)
	}
	seen := Seen{First: next.Digest == "", Before: next.Digest}
	// Another image in the same index is another platform that somebody asked for:
	// the tag did not move, so that image is a silent baseline too.
	other := next.Digest != m.Digest
	seen.First = seen.First || other && next.TagDigest == m.TagDigest
	seen.Moved = !seen.First && other
	seen.Rebuilt = !seen.First && !seen.Moved && next.TagDigest != m.TagDigest
	next.Digest, next.TagDigest, next.Gone, next.Refusal = m.Digest, m.TagDigest, 0, nil
	if seen.First || seen.Moved || seen.Rebuilt {
		next.Version++
	}
	if seen.First || seen.Moved {
		next.Changed = table.Nanos(in.Now)
	}
	if in.add != nil {
		if in.add.Platform != (anchore.Platform{}) {
			next.Platform = in.add.Platform.String()
		}
		if err := c.subscribeTag(tx, acct, tag, in.add.AutoSubscribe, in.Now); err != nil {
			return Seen{}, err
		}
	}
	there, err := image.Names(tx, acct.No, tag, m.Digest)
	if err != nil {
		return Seen{}, err
	}
	if !there || seen.First || seen.Moved || seen.Rebuilt || in.add != nil { // one that was deleted comes back silently
		if err := c.takeIn(tx, acct, in, &next); err != nil {
			return Seen{}, err
		}
	}
	if seen.First || seen.Moved {
		h := &image.HistoryRow{Account: acct.No, Tag: tag, At: table.Nanos(in.Now), Digest: m.Digest, TagDigest: m.TagDigest}
		if err := image.History.Insert(tx, h); err != nil {
			return Seen{}, err
		}
	}
	if err := c.tellMove(tx, acct, in, seen, &next); err != nil {
		return Seen{}, err
	}
	return seen, image.Tags.Replace(tx, old, &next)
}

// tellMove writes the event of a move and the cause of its notification.
func (c *Catalog) tellMove(tx store.Tx, acct *account.Row, in arrival, seen Seen, tag *image.TagRow) error {
	if seen.Moved {
		err := c.recorder.Record(tx, acct, in.Stamp, 0, anchore.Event{
			Type: anchore.EventTagMoved, Level: anchore.Info, Service: "catalog",
			Message:  "Tag names another image",
			Resource: anchore.Resource{Type: "image_tag", ID: tag.Tag},
			Details:  map[string]any{"last_digest": seen.Before, "current_digest": tag.Digest, "cause": in.why},
		})
		if err != nil {
			return err
		}
	}
	if !seen.Moved && (!seen.Rebuilt || !c.notifyRebuilds) {
		return nil
	}
	active, err := subscription.IsActive(tx, acct.No, tag.Tag, anchore.TagUpdate)
	if err != nil || !active {
		return err
	}
	id := in.nextCause(tag)
	return cause.Table.Insert(tx, &cause.Row{
		ID: id[:], Kind: cause.TagMoved, At: table.Nanos(in.Now), Account: acct.No, Tag: tag.Tag,
		Before: seen.Before, After: tag.Digest, Why: in.why,
	})
}

// DigestAddition adds an image under a tag by its digest.
type DigestAddition struct {
	Account   string
	Manifest  anchore.Manifest // its Ref has tag and digest
	CreatedAt time.Time        // the image's place in the tag's history; zero is now
	Addition
}

// AddDigest records an image under a tag that somebody named with its digest. It
// adds to the tag's history and never moves the tag, so it sends no tag_update.
// Errors: as SawTag.
func (c *Catalog) AddDigest(ctx context.Context, d DigestAddition) (anchore.Image, error) {
	in, err := c.arrive(ctx, d.Manifest, &d.Addition)
	if err != nil {
		return anchore.Image{}, err
	}
	in.why = "image add"
	if !d.CreatedAt.IsZero() {
		in.created = d.CreatedAt
	}
	err = c.store.UpdateAccount(ctx, d.Account, func(tx store.Tx, acct *account.Row) error { return c.addUnder(tx, acct, in) })
	if err != nil {
		return anchore.Image{}, err
	}
	c.arrived()
	return c.Image(ctx, d.Account, d.Manifest.Digest)
}

// addUnderEach adds the arrival's image to the history of tags, each in a transaction
// of its own that step makes of addUnder, and returns it. With Force, the first one
// alone has it analyzed again.
func (c *Catalog) addUnderEach(ctx context.Context, name string, in arrival, tags []anchore.Reference, step func(tx store.Tx, acct *account.Row, in arrival, n int) error) (img anchore.Image, err error) {
	for n, tag := range tags {
		in.manifest.Ref = tag
		err = c.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error { return step(tx, acct, in, n) })
		if err != nil {
			return img, err
		}
		in.add.Force = false
		if in.Stamp, err = c.store.Stamp(); err != nil {
			return img, err
		}
	}
	c.arrived()
	return c.Image(ctx, name, in.manifest.Digest)
}

// addUnder adds the arrival's image to the history of its tag.
func (c *Catalog) addUnder(tx store.Tx, acct *account.Row, in arrival) error {
	m, tag := in.manifest, in.manifest.Ref.FullTag()
	if err := c.subscribeTag(tx, acct, tag, in.add.AutoSubscribe, in.Now); err != nil {
		return err
	}
	named, err := image.FindNamed(tx, acct.No, m.Digest, tag)
	if err != nil {
		return err
	}
	if named == nil {
		h := &image.HistoryRow{Account: acct.No, Tag: tag, At: table.Nanos(in.created), Digest: m.Digest, TagDigest: m.TagDigest, Added: true}
		if in.restored() {
			h.At = in.known.archived.Detected
		}
		if err := image.Remember(tx, h); err != nil {
			return err
		}
	}
	row, next, err := image.EditTag(tx, acct.No, tag)
	if err != nil {
		return err
	}
	if err := c.takeIn(tx, acct, in, &next); err != nil {
		return err
	}
	return image.Tags.Replace(tx, row, &next)
}

// TagGone records that the registry does not have the tag, or no longer, and raises
// an event the first time. The image stays. version is that of WatchedTag from before the
// registry was asked: if the tag was seen meanwhile, nothing is recorded. Errors: NotFound
// for the account; Conflict, with the cause ErrSeenMeanwhile.
func (c *Catalog) TagGone(ctx context.Context, name string, ref anchore.Reference, version uint64) (first bool, err error) {
	return c.tellOfTag(ctx, name, ref, func(next *image.TagRow, now time.Time) (*anchore.Event, error) {
		if next.Version != version {
			return nil, seenMeanwhile("catalog.TagGone", ref.FullTag())
		}
		if next.Gone != 0 {
			return nil, nil
		}
		next.Gone = table.Nanos(now)
		if next.Digest == "" { // nobody has seen it: a tag that was mistyped, or is yet to come
			return new(anchore.LookupFailure(ref, anchore.E(anchore.NotFound, "catalog.TagGone", "registry %s does not have %s", ref.Registry, ref).WithCodes(anchore.CodeImageNotFound))), nil
		}
		return &anchore.Event{
			Type: anchore.EventTagDeleted, Level: anchore.Failure, Service: "catalog",
			Message:  "Tag no longer exists in the registry",
			Resource: anchore.Resource{Type: "image_tag", ID: ref.FullTag()},
			Details:  map[string]any{"last_digest": next.Digest},
		}, nil
	})
}

// TagLookFailed records why the tag could not be looked at, and raises an event
// unless one told of that reason already. The tag's state does not change. Errors:
// NotFound for the account.
func (c *Catalog) TagLookFailed(ctx context.Context, name string, ref anchore.Reference, why error) (first bool, err error) {
	reason := anchore.MessageOf(why)
	return c.tellOfTag(ctx, name, ref, func(next *image.TagRow, _ time.Time) (*anchore.Event, error) {
		if next.Failed == reason {
			return nil, nil
		}
		next.Failed = reason
		return new(anchore.LookupFailure(ref, why)), nil
	})
}

// tellOfTag changes what is recorded of a tag and raises the event that edit returns,
// if it does, in one transaction, and reports whether it did. It writes nothing if edit
// changes nothing.
func (c *Catalog) tellOfTag(ctx context.Context, name string, ref anchore.Reference, edit func(next *image.TagRow, now time.Time) (*anchore.Event, error)) (told bool, err error) {
	st, err := c.store.Stamp()
	if err != nil {
		return false, err
	}
	err = c.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, next, err := image.EditTag(tx, acct.No, ref.FullTag())
		if err != nil {
			return err
		}
		e, err := edit(&next, st.Now)
		if err != nil {
			return err
		}
		if told = e != nil; told {
			if err := c.recorder.Record(tx, acct, st, 0, *e); err != nil {
				return err
			}
		}
		return image.Tags.Replace(tx, old, &next)
	})
	if err == nil && told {
		c.deliveryReady.Wake()
	}
	return told, err
}

// TagLooked records that the tag can be looked at again. It writes nothing if
// nothing else is recorded. Errors: NotFound for the account.
func (c *Catalog) TagLooked(ctx context.Context, name string, ref anchore.Reference) error {
	return c.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, next, err := image.EditTag(tx, acct.No, ref.FullTag())
		if err != nil || old == nil {
			return err
		}
		next.Failed = ""
		return image.Tags.Replace(tx, old, &next)
	})
}

// Refusal is why what a tag names now is not taken: its image is too large, or
// has no manifest for the platform.
type Refusal struct {
	TagDigest string
	Digest    string         // of the image, "" if there is none
	Reason    string         // RefusedSize or RefusedPlatform
	Limit     string         // the limit or platform under which it was refused
	Message   string         // for a person
	Details   map[string]any // of the event
}

// The reasons of a Refusal.
const (
	RefusedSize     = "size"
	RefusedPlatform = "platform"
)

// TagRefused records a refusal and raises its event, once for each document and
// limit; the image that stands for the tag does not change. version is that of TagState
// from before the registry was asked: if the tag was seen meanwhile, nothing is recorded.
// Errors: NotFound for the account; Conflict, with the cause ErrSeenMeanwhile.
func (c *Catalog) TagRefused(ctx context.Context, name string, ref anchore.Reference, version uint64, r Refusal) (first bool, err error) {
	kind := anchore.EventImageTooLarge
	if r.Reason == RefusedPlatform {
		kind = anchore.EventPlatformMissing
	}
	return c.tellOfTag(ctx, name, ref, func(next *image.TagRow, _ time.Time) (*anchore.Event, error) {
		if next.Version != version {
			return nil, seenMeanwhile("catalog.TagRefused", ref.FullTag())
		}
		first := next.Refuse(&image.RefusalRow{TagDigest: r.TagDigest, Digest: r.Digest, Reason: r.Reason, Limit: r.Limit, Message: r.Message})
		next.Gone = 0 // the registry has it
		if !first {
			return nil, nil
		}
		return &anchore.Event{
			Type: kind, Level: anchore.Failure, Service: "catalog",
			Message: r.Message, Resource: anchore.Resource{Type: "image_tag", ID: ref.FullTag()}, Details: r.Details,
		}, nil
	})
}

// WatchedTag is a tag that an account's active tag_update asks to look at.
type WatchedTag struct {
	Account   string
	Ref       anchore.Reference
	TagDigest string // what it names, as recorded; "" if it was never seen, or that image was deleted
	Digest    string
	ChangedAt time.Time        // when it was last seen to move, or zero
	GoneSince time.Time        // since when the registry does not have it, or zero
	Refusal   Refusal          // zero if what it names was taken
	Failed    string           // why the last look failed, as an event told; "" if it did not
	Platform  anchore.Platform // that the tag is followed for; zero is the registry's
	Version   uint64           // of what it names, as recorded
}

// WatchedTags returns a page of the tags with an active tag_update in enabled
// accounts, by tag, then account: up to limit rows are looked at, so a page may be
// shorter. next continues; it is "" at the end.
func (c *Catalog) WatchedTags(ctx context.Context, after string, limit int) (tags []WatchedTag, next string, err error) {
	if limit <= 0 || limit > store.MaxPage {
		limit = store.MaxPage
	}
	err = c.store.View(ctx, func(tx store.Tx) error {
		accounts := map[uint32]*account.Row{}
		entries, err := tx.Scan(subscription.ByActive, store.Range{Prefix: subscription.ActivePrefix(anchore.TagUpdate), Start: []byte(after), Limit: limit})
		if err != nil {
			return err
		}
		for _, e := range entries {
			key := table.ReadKey(e.Key)
			_, tag, no := key.Text(), key.Text(), key.Uint32()
			if err := key.Err(); err != nil {
				return err
			}
			acct, ok := accounts[no]
			if !ok {
				if acct, err = account.ByNumber(tx, no); err != nil {
					return err
				}
				accounts[no] = acct
			}
			if acct == nil || acct.State != string(anchore.AccountEnabled) {
				continue
			}
			w, err := watchedTag(tx, acct, tag)
			if err != nil {
				return err
			}
			tags = append(tags, w)
		}
		if len(entries) == limit {
			next = string(table.After(entries[limit-1].Key))
		}
		return nil
	})
	return tags, next, err
}

func watchedTag(tx store.Tx, acct *account.Row, tag string) (WatchedTag, error) {
	ref, err := anchore.ParseReference(tag)
	if err != nil {
		return WatchedTag{}, fmt.Errorf("stored tag: %w", err)
	}
	w := WatchedTag{Account: acct.Name, Ref: ref}
	row, err := image.FindTag(tx, acct.No, tag)
	if err != nil || row == nil {
		return w, err
	}
	w.TagDigest, w.Digest = row.TagDigest, row.Digest
	there, err := image.Names(tx, acct.No, tag, row.Digest)
	if err != nil {
		return w, err
	}
	if !there {
		w.TagDigest = ""
	}
	w.ChangedAt, w.GoneSince = table.Time(row.Changed), table.Time(row.Gone)
	w.Platform, w.Failed, w.Version = row.FollowedPlatform(), row.Failed, row.Version
	if r := row.Refusal; r != nil {
		w.Refusal = Refusal{TagDigest: r.TagDigest, Digest: r.Digest, Reason: r.Reason, Limit: r.Limit, Message: r.Message}
	}
	return w, nil
}

// TagState is what is recorded of a tag, for who is about to ask its registry.
type TagState struct {
	Platform anchore.Platform // that somebody asked to follow it for, zero if nobody did
	Version  uint64           // of what it names, as recorded
}

// TagState returns what is recorded of the account's tag, the zero value if nothing
// is. Errors: NotFound for the account.
func (c *Catalog) TagState(ctx context.Context, name string, ref anchore.Reference) (s TagState, err error) {
	err = c.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := image.FindTag(tx, acct.No, ref.FullTag())
		if row != nil {
			s = TagState{Platform: row.FollowedPlatform(), Version: row.Version}
		}
		return err
	})
	return s, err
}

// TagChanges returns when each of the account's tags was last seen to move, for
// those that were.
func (c *Catalog) TagChanges(ctx context.Context, name string) (map[string]time.Time, error) {
	no, err := c.store.Number(ctx, name)
	if err != nil {
		return nil, err
	}
	changes := map[string]time.Time{}
	err = image.Tags.Each(ctx, c.store, table.Key{}.Uint32(no), func(row *image.TagRow) error {
		if row.Changed != 0 {
			changes[row.Tag] = table.Time(row.Changed)
		}
		return nil
	})
	return changes, err
}
