// Package analysis hands out the analyses that are due, to workers that hold them
// by a lease, and records what came of them.
package analysis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/cause"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/image"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/catalog/work"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Analyses is the queue of analyses of all accounts. Its methods may be called from
// many goroutines.
type Analyses struct {
	store  *change.Store
	ready  change.Hint
	causes change.Hint
}

// New builds the queue. ready is given when an analysis may be due, causes when the
// end of one is to be told.
func New(s *change.Store, ready, causes change.Hint) *Analyses {
	return &Analyses{store: s, ready: ready, causes: causes}
}

// AnalysisReady hints that an analysis may be due.
func (q *Analyses) AnalysisReady() <-chan struct{} { return q.ready }

// Job is an analysis that a worker has taken, until its lease ends.
type Job struct {
	Analysis string // its id
	Token    uint64 // of the lease
	Digest   string // of the image manifest
	Attempt  int    // 1 for the first; postponements are not counted
	Crashes  int    // leases before that reached the child, and whose end nobody told
	Sources  []Source
}

// Source is one account that waits for the analysis, and the tag through whose
// repository it pulls the image.
type Source struct {
	Account string
	Ref     anchore.Reference

	no uint32 // of the account
}

// Result is what a finished analysis hands in.
type Result struct {
	Report  store.Digest // the syft JSON document, stored before
	Summary anchore.Summary
}

// maxSources bounds how many accounts' credentials one job carries.
const maxSources = 50

// ClaimAnalysis takes the analysis that is due first and gives it to the caller
// for the time of the lease. ok is false if none is due; next is then when the
// earliest one is, zero if none waits.
func (q *Analyses) ClaimAnalysis(ctx context.Context, lease time.Duration) (job Job, ok bool, next time.Time, err error) {
	now := time.Now()
	var earliest *work.Row
	err = q.store.View(ctx, func(tx store.Tx) (err error) {
		earliest, err = work.Earliest(tx)
		return err
	})
	if err != nil || earliest == nil {
		return Job{}, false, time.Time{}, err
	}
	if due := table.Time(earliest.Due); due.After(now) {
		return Job{}, false, due, nil
	}
	err = q.store.Update(ctx, func(tx store.Tx) error {
		ok = false
		row, err := work.Earliest(tx)
		if err != nil || row == nil || table.Time(row.Due).After(now) {
			return err
		}
		claimed, err := work.Claim(tx, row, now, lease)
		if err != nil {
			return err
		}
		job = Job{Analysis: claimed.ID, Token: claimed.Token, Digest: claimed.Digest, Attempt: claimed.Attempt, Crashes: claimed.Crashes}
		ok = true
		return nil
	})
	if err != nil || !ok {
		return Job{}, false, time.Time{}, err
	}
	job.Sources, err = q.sources(ctx, job.Analysis)
	q.ready.Wake() // another worker may find another one due
	return job, err == nil, time.Time{}, err
}

func (q *Analyses) sources(ctx context.Context, analysis string) (sources []Source, err error) {
	err = q.store.View(ctx, func(tx store.Tx) error {
		rows, err := work.Sources.Scan(tx, store.Range{Prefix: work.SourcePrefix(analysis), Limit: maxSources})
		if err != nil {
			return err
		}
		for _, row := range rows {
			acct, err := account.ByNumber(tx, row.Account)
			if err != nil {
				return err
			}
			ref, err := anchore.ParseReference(row.Tag)
			if err != nil {
				return err
			}
			if acct != nil {
				sources = append(sources, Source{Account: acct.Name, Ref: ref, no: acct.No})
			}
		}
		return nil
	})
	return sources, err
}

// ExtendAnalysis renews the caller's lease. Errors: Conflict if it was lost.
func (q *Analyses) ExtendAnalysis(ctx context.Context, j Job, lease time.Duration) error {
	due := table.Nanos(time.Now().Add(lease))
	return q.held(ctx, j, func(tx store.Tx, _, next *work.Row) error {
		next.Due = due
		return nil
	})
}

// AnalysisBegun records that the caller is about to start the child: if nothing more
// is heard of this lease, the image may be the reason. Errors: Conflict if the lease
// was lost.
func (q *Analyses) AnalysisBegun(ctx context.Context, j Job) error {
	return q.held(ctx, j, func(_ store.Tx, _, next *work.Row) error {
		next.Begun = true
		return nil
	})
}

// held changes an analysis whose lease the caller holds. Errors: Conflict.
func (q *Analyses) held(ctx context.Context, j Job, change func(tx store.Tx, row, next *work.Row) error) error {
	return q.store.Update(ctx, func(tx store.Tx) error {
		row, err := work.Held(tx, j.Analysis, j.Token)
		if err != nil {
			return err
		}
		next := *row
		if err := change(tx, row, &next); err != nil {
			return err
		}
		return work.Table.Replace(tx, row, &next)
	})
}

// FinishAnalysis records the result, and the cause of the analysis_update of every
// tag of every account attached. Errors: Conflict if the lease was lost.
func (q *Analyses) FinishAnalysis(ctx context.Context, j Job, r Result) error {
	return q.endAnalysis(ctx, j, work.Done, func(next *work.Row) {
		next.Report, next.Reason = r.Report, ""
		next.Summarize(r.Summary)
	})
}

// FailAnalysis records that the image cannot be analyzed, and the cause of the
// event for every tag of every account attached. It notifies nobody: a receiver
// of analysis_update would deploy the image. Errors: Conflict.
func (q *Analyses) FailAnalysis(ctx context.Context, j Job, reason string) error {
	return q.endAnalysis(ctx, j, work.Failed, func(next *work.Row) { next.Reason = reason })
}

func (q *Analyses) endAnalysis(ctx context.Context, j Job, state work.State, outcome func(*work.Row)) error {
	st, err := q.store.Stamp()
	if err != nil {
		return err
	}
	err = q.held(ctx, j, func(tx store.Tx, _, next *work.Row) error {
		next.End(state, st.Now)
		outcome(next)
		return tellEnd(tx, st, next)
	})
	if err == nil {
		q.causes.Wake()
	}
	return err
}

// tellEnd writes the cause of what is told of an analysis that ended.
func tellEnd(tx store.Tx, st change.Stamp, ended *work.Row) error {
	id := cause.NewID(st.Nanos, st.Random)
	return cause.Table.Insert(tx, &cause.Row{
		ID: id[:], Kind: cause.Analysis, At: table.Nanos(st.Now), Analysis: ended.ID, After: ended.Digest,
		Failed: ended.State == work.Failed, Reason: ended.Reason, Why: "analysis",
	})
}

// FailSources records that none of the job's sources gives the image, some of which
// were refused, or deleted. If accounts are attached that the job does not name, the
// analysis is due at once, so that the next job tries them: again is true. Else it
// fails with the reason, as FailAnalysis does. Errors: Conflict.
func (q *Analyses) FailSources(ctx context.Context, j Job, reason string) (again bool, err error) {
	st, err := q.store.Stamp()
	if err != nil {
		return false, err
	}
	err = q.held(ctx, j, func(tx store.Tx, _, next *work.Row) (err error) {
		if again, err = hasOthers(tx, j); err != nil {
			return err
		}
		if again {
			putBack(next, st.Now, "")
			return nil
		}
		next.End(work.Failed, st.Now)
		next.Reason = reason
		return tellEnd(tx, st, next)
	})
	if err != nil {
		return false, err
	}
	q.ready.Wake()
	q.causes.Wake()
	return again, nil
}

// hasOthers reports whether accounts are attached that the job does not name.
func hasOthers(tx store.Tx, j Job) (bool, error) {
	rows, err := work.Sources.Scan(tx, store.Range{Prefix: work.SourcePrefix(j.Analysis), Limit: len(j.Sources) + 1})
	return slices.ContainsFunc(rows, func(row *work.SourceRow) bool {
		return !slices.ContainsFunc(j.Sources, func(s Source) bool { return s.no == row.Account })
	}), err
}

// RefuseSource records that the credentials of the job's source do not give it the
// image: its record alone fails, for others the analysis goes on. There is nothing to
// record if the account was deleted meanwhile, whoever has its name now. Errors:
// Conflict.
func (q *Analyses) RefuseSource(ctx context.Context, j Job, name, reason string) error {
	st, err := q.store.Stamp()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(j.Sources, func(s Source) bool { return s.Account == name })
	if i < 0 {
		return fmt.Errorf("catalog.RefuseSource: %q is no source of analysis %s", name, j.Analysis)
	}
	no := j.Sources[i].no
	err = q.held(ctx, j, func(tx store.Tx, row, _ *work.Row) error {
		if err := work.Sources.Delete(tx, &work.SourceRow{Analysis: row.ID, Account: no}); err != nil {
			return err
		}
		img, err := image.Find(tx, no, row.Digest)
		if err != nil || img == nil || img.Analysis != row.ID {
			return err
		}
		next := *img
		next.Refused, next.Updated = reason, table.Nanos(st.Now)
		if err := image.Table.Replace(tx, img, &next); err != nil {
			return err
		}
		id := cause.NewID(st.Nanos, st.Random)
		return cause.Table.Insert(tx, &cause.Row{
			ID: id[:], Kind: cause.Refused, At: table.Nanos(st.Now), Account: no, Analysis: row.ID, After: row.Digest,
			Failed: true, Reason: reason, Why: "analysis",
		})
	})
	if err == nil {
		q.causes.Wake()
	}
	return err
}

// PostponeAnalysis puts the analysis back until the given time, which its images
// show with the reason. It does not count as an attempt. Errors: Conflict.
func (q *Analyses) PostponeAnalysis(ctx context.Context, j Job, until time.Time, reason string) error {
	return q.requeue(ctx, j, until, reason)
}

// ReleaseAnalysis gives the lease back: another worker may take the analysis at
// once. Errors: Conflict.
func (q *Analyses) ReleaseAnalysis(ctx context.Context, j Job) error {
	return q.requeue(ctx, j, time.Now(), "")
}

func (q *Analyses) requeue(ctx context.Context, j Job, due time.Time, reason string) error {
	err := q.held(ctx, j, func(_ store.Tx, _, next *work.Row) error {
		putBack(next, due, reason)
		return nil
	})
	if err == nil {
		q.ready.Wake()
	}
	return err
}

// putBack makes an analysis wait as if the attempt had not been.
func putBack(next *work.Row, due time.Time, reason string) {
	next.State, next.Reason, next.Due = work.Queued, reason, table.Nanos(due)
	next.Attempt--
	next.Begun = false
}

// QueueLength counts the analyses that wait or run, up to store.MaxPage, and
// returns the age of the one that has waited longest.
func (q *Analyses) QueueLength(ctx context.Context) (waiting int, oldest time.Duration, err error) {
	now := time.Now()
	err = q.store.View(ctx, func(tx store.Tx) error {
		rows, err := work.Waiting(tx)
		waiting = len(rows)
		for _, row := range rows {
			oldest = max(oldest, now.Sub(table.Time(row.Created)))
		}
		return err
	})
	return waiting, oldest, err
}
