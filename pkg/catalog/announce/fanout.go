package announce

import (
	"encoding/json"
	"fmt"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/outbox"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// fanOutTags is how many tags one transaction of the fan-out serves at most: each is up
// to 26 keys with two endpoints for its notification and two for its event's, so
// that store.MaxKeys is not reached.
const fanOutTags = 3

// fanOut is one page of the fan-out of a cause.
type fanOut struct {
	cfg *Config
	change.Stamp
	tx     store.Tx
	cause  cause.Row // with the cursor as it will be
	events int
}

// page serves the subscriptions that come next and reports whether that was all.
func (f *fanOut) page() (done bool, err error) {
	switch f.cause.Kind {
	case cause.TagMoved:
		return true, f.tagMoved()
	case cause.Attached:
		return true, f.attached()
	case cause.Refused, cause.Imported:
		f.cause.DoneAccount = f.cause.Account
		n, err := f.imageTags()
		return n == 0, err
	case cause.Analysis:
		return f.analysis()
	}
	return false, fmt.Errorf("catalog.FanOut: cause of unknown kind %q", f.cause.Kind)
}

// analysis serves the tags of the account that the cursor is at, and then goes on
// to the next account attached to the analysis.
func (f *fanOut) analysis() (done bool, err error) {
	for range 2 {
		if f.cause.DoneAccount != 0 {
			if n, err := f.imageTags(); n > 0 || err != nil {
				return false, err
			}
		}
		prefix := work.SourcePrefix(f.cause.Analysis)
		next, err := work.Sources.Scan(f.tx, store.Range{Prefix: prefix, Start: table.After(append(prefix, table.Key{}.Uint32(f.cause.DoneAccount)...)), Limit: 1})
		if err != nil || len(next) == 0 {
			return true, err
		}
		f.cause.DoneAccount, f.cause.DoneTag = next[0].Account, ""
	}
	return false, nil
}

// imageTags serves the tags of the image that come after the cursor, in the
// account that it is at, and returns how many there were.
func (f *fanOut) imageTags() (int, error) {
	no, digest := f.cause.DoneAccount, f.cause.After
	prefix := image.NamedKey(no, digest)
	r := store.Range{Prefix: prefix, Limit: fanOutTags}
	if f.cause.DoneTag != "" {
		r.Start = table.After(append(prefix, table.Key{}.Text(f.cause.DoneTag)...))
	}
	named, err := image.Named.Scan(f.tx, r)
	if err != nil || len(named) == 0 {
		return 0, err
	}
	acct, err := account.ByNumber(f.tx, no)
	if err != nil {
		return 0, err
	}
	img, err := image.Find(f.tx, no, digest)
	if err != nil {
		return 0, err
	}
	named = named[:min(len(named), tagsAtOnce(img))]
	for _, n := range named {
		f.cause.DoneTag = n.Tag
		if acct == nil || img == nil || img.Analysis != f.cause.Analysis {
			continue // deleted, or analyzed again, since
		}
		if f.cause.Failed {
			err = f.failed(acct, n)
		} else {
			err = f.analyzed(acct, img, n, anchore.Analyzing)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(named), nil
}

// attached serves the one tag that was attached to an analyzed image.
func (f *fanOut) attached() error {
	acct, err := account.ByNumber(f.tx, f.cause.Account)
	if err != nil || acct == nil {
		return err
	}
	img, err := image.Find(f.tx, acct.No, f.cause.After)
	if err != nil || img == nil {
		return err
	}
	named, err := image.FindNamed(f.tx, acct.No, img.Digest, f.cause.Tag)
	if err != nil || named == nil {
		return err
	}
	return f.analyzed(acct, img, named, anchore.Analyzed)
}

// analyzed tells a tag's analysis_update, once for each analysis: the tag
// remembers which it was told of, since a tag that is attached while the causes of
// the analysis are served could be told by both.
func (f *fanOut) analyzed(acct *account.Row, img *image.Row, named *image.NamedRow, before anchore.AnalysisStatus) error {
	if named.Told == f.cause.Analysis {
		return nil
	}
	next := *named
	next.Told = f.cause.Analysis
	if err := image.Named.Replace(f.tx, named, &next); err != nil {
		return err
	}
	eval := anchore.AnalysisEval{ImageDigest: img.Digest, AnalysisStatus: before, Annotations: annotations(img)}
	payload := anchore.AnalysisUpdatePayload{
		UserID: acct.Name, SubscriptionKey: named.Tag, SubscriptionType: anchore.AnalysisUpdate,
		LastEval: eval, CurrEval: eval, Annotations: annotations(img), Context: f.context(img),
	}
	payload.CurrEval.AnalysisStatus = anchore.Analyzed
	payload.Summary = fmt.Sprintf("%s was analyzed (%s)", named.Tag, shortDigest(img.Digest))
	err := f.event(acct, anchore.Event{
		Type: anchore.EventAnalysisCompleted, Level: anchore.Info, Service: "analyzer", Message: "Image analysis available",
		Resource: anchore.Resource{Type: "image_tag", ID: named.Tag},
		Details: map[string]any{
			"subscription_type": string(anchore.AnalysisUpdate),
			"last_eval":         map[string]any{"imageDigest": img.Digest, "analysis_status": string(before), "annotations": eval.Annotations},
			"curr_eval":         map[string]any{"imageDigest": img.Digest, "analysis_status": string(anchore.Analyzed), "annotations": eval.Annotations},
			"annotations":       eval.Annotations,
		},
	})
	if err != nil {
		return err
	}
	active, err := subscription.IsActive(f.tx, acct.No, named.Tag, anchore.AnalysisUpdate)
	if err != nil || !active {
		return err
	}
	return f.notify(acct, anchore.AnalysisUpdate, named.Tag, payload.Summary, func(id string) any {
		payload.NotificationID = id
		return payload
	})
}

// failed tells the event of a failed analysis. A reason that is too long for the page is
// cut; the image has it as a whole.
func (f *fanOut) failed(acct *account.Row, named *image.NamedRow) error {
	return f.event(acct, anchore.Event{
		Type: anchore.EventAnalysisFailed, Level: anchore.Failure, Service: "analyzer", Message: "Failed to analyze image",
		Resource: anchore.Resource{Type: "image_tag", ID: named.Tag},
		Details:  map[string]any{"msg": fmt.Sprintf("%.4096s", f.cause.Reason), "image_digest": f.cause.After},
	})
}

// tagMoved tells the tag_update of one tag. That it is active was decided in the
// transaction of the move.
func (f *fanOut) tagMoved() error {
	acct, err := account.ByNumber(f.tx, f.cause.Account)
	if err != nil || acct == nil {
		return err
	}
	payload := anchore.TagUpdatePayload{
		UserID: acct.Name, SubscriptionKey: f.cause.Tag, SubscriptionType: anchore.TagUpdate,
		LastEval: []string{f.cause.Before}, CurrEval: []string{f.cause.After}, Annotations: map[string]string{},
	}
	img, err := image.Find(f.tx, acct.No, f.cause.After)
	if err != nil {
		return err
	}
	if img != nil {
		payload.Context, payload.Annotations = f.context(img), annotations(img)
	}
	payload.DigestBefore, payload.DigestAfter, payload.Cause = f.cause.Before, f.cause.After, f.cause.Why
	payload.Summary = fmt.Sprintf("%s moved from %s to %s", f.cause.Tag, shortDigest(f.cause.Before), shortDigest(f.cause.After))
	return f.notify(acct, anchore.TagUpdate, f.cause.Tag, payload.Summary, func(id string) any {
		payload.NotificationID = id
		return payload
	})
}

func (f *fanOut) context(img *image.Row) anchore.Context {
	return anchore.Context{
		Cause: f.cause.Why, DigestAfter: img.Digest, Platform: img.Platform().String(),
		Revision: image.Label(img.Revision), Source: image.Label(img.Source), ImageURL: f.cfg.BaseURL + "/v1/images/" + img.Digest,
	}
}

// shortDigest is as much of a digest as a person compares: "sha256:" and 12 digits.
func shortDigest(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

// noteBytes is how many bytes the annotations in one transaction may have: what
// store.MaxBytes allows, less ample room for all else.
const noteBytes = store.MaxBytes - 256<<10

// noteCopies is how often what is told of a tag has the image's annotations: a
// notification three times, and its event.
const noteCopies = 6

// tagsAtOnce is how many tags of an image one transaction can serve.
func tagsAtOnce(img *image.Row) int {
	if img == nil {
		return fanOutTags
	}
	return min(fanOutTags, noteBytes/noteCopies/anchore.AnnotationBytes(annotations(img)))
}

// annotations are the image's, or, in their place, one that says why they are missing:
// a version that had no limit has stored more than a notification can hold.
func annotations(img *image.Row) map[string]string {
	if img.Annotations == nil {
		return map[string]string{}
	}
	if n := anchore.AnnotationBytes(img.Annotations); n > noteBytes/noteCopies {
		return map[string]string{"anchore.system/annotations": fmt.Sprintf("left out: %d bytes are too many for a notification; /v1/images/%s has them", n, img.Digest)}
	}
	return img.Annotations
}

func (f *fanOut) event(acct *account.Row, e anchore.Event) error {
	f.events++
	return f.cfg.Recorder.Record(f.tx, acct, f.Stamp, f.events-1, e)
}

// notify writes the notification of one subscription with its deliveries.
func (f *fanOut) notify(acct *account.Row, t anchore.SubscriptionType, key, summary string, payload func(id string) any) error {
	id := anchore.SubscriptionID(acct.Name, key, t)
	causeID, err := f.cause.IDOf()
	if err != nil {
		return err
	}
	n := anchore.Notification{
		ID: outbox.NotificationID(causeID, id), Account: acct.Name, Type: t, SubscriptionID: id, Key: key,
		Summary: summary, CreatedAt: f.Now,
	}
	if n.Payload, err = json.Marshal(payload(n.ID)); err != nil {
		return fmt.Errorf("catalog.FanOut: payload: %w", err)
	}
	return outbox.Put(f.tx, acct.No, causeID, n, f.cfg.Endpoints(t))
}
