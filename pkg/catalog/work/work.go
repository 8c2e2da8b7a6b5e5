// Package work is the queue of analyses. An analysis belongs to an image digest
// and is shared by the accounts attached to it. Whoever takes one holds a lease;
// the due index has the time from which somebody (else) may take it, so a killed
// worker's analysis comes up again by itself.
package work

import (
	"errors"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// State is how far an analysis has come.
type State string

const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// Row is a stored analysis.
type Row struct {
	ID       string       `cbor:"1,keyasint"`
	Digest   string       `cbor:"2,keyasint"`
	State    State        `cbor:"3,keyasint"`
	Reason   string       `cbor:"4,keyasint,omitempty"` // why it failed, or why it waits
	Token    uint64       `cbor:"5,keyasint,omitempty"` // number of the lease; a holder with another one has lost it
	Attempt  int          `cbor:"6,keyasint,omitempty"` // leases since it was queued, postponements not counted
	Due      int64        `cbor:"7,keyasint,omitempty"` // from when it may be taken; 0 once it ended
	Report   store.Digest `cbor:"8,keyasint,omitempty"`
	Created  int64        `cbor:"9,keyasint"`
	Finished int64        `cbor:"10,keyasint,omitempty"`

	Distro   string `cbor:"11,keyasint,omitempty"`
	Version  string `cbor:"12,keyasint,omitempty"`
	Size     int64  `cbor:"13,keyasint,omitempty"`
	Packages int    `cbor:"14,keyasint,omitempty"`

	Manifest store.Digest `cbor:"15,keyasint,omitempty"` // the image manifest, a blob
	Config   store.Digest `cbor:"16,keyasint,omitempty"` // the image configuration, a blob

	Begun   bool `cbor:"17,keyasint,omitempty"` // Running: this lease has reached the child
	Crashes int  `cbor:"18,keyasint,omitempty"` // leases that reached the child and ended by themselves
}

const (
	// ByDue is the index of the analyses that have not ended by the time from which
	// they may be taken.
	ByDue  store.Bucket = "analysis_due"
	byBlob store.Bucket = "analysis_blob"
)

// Table holds the analyses.
var Table = table.Table[Row]{
	Bucket: "analysis",
	Key:    func(r *Row) []byte { return Key(r.ID) },
	Indexes: []table.Index[Row]{
		{Bucket: ByDue, Keys: func(r *Row) [][]byte {
			if r.Due == 0 {
				return nil
			}
			return [][]byte{table.Key{}.Uint64(uint64(r.Due)).Text(r.ID)}
		}},
		{Bucket: byBlob, Keys: func(r *Row) [][]byte {
			var keys [][]byte
			for _, blob := range []store.Digest{r.Report, r.Manifest, r.Config} {
				if blob != "" {
					keys = append(keys, table.Key{}.Text(string(blob)).Text(r.ID))
				}
			}
			return keys
		}},
	},
}

// Key is the key of an analysis.
func Key(id string) []byte { return table.Key{}.Text(id) }

// SourceRow says through which repository an account pulls the image.
type SourceRow struct {
	Analysis string `cbor:"1,keyasint"`
	Account  uint32 `cbor:"2,keyasint"`
	Tag      string `cbor:"3,keyasint"`
}

// Sources holds the accounts attached to analyses by (analysis, account).
var Sources = table.Table[SourceRow]{
	Bucket: "analysis_source",
	Key:    func(r *SourceRow) []byte { return SourcePrefix(r.Analysis).Uint32(r.Account) },
}

// SourcePrefix is the start of the keys of an analysis's sources.
func SourcePrefix(analysis string) table.Key { return table.Key{}.Text(analysis) }

// current names the analysis of a digest that newcomers are attached to.
const current store.Bucket = "analysis_current"

// Current returns the analysis of the digest that newcomers share, or nil.
func Current(tx store.Tx, digest string) (*Row, error) {
	id, err := tx.Get(current, Key(digest))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Table.Find(tx, Key(string(id)))
}

// SetCurrent makes row the analysis that newcomers share.
func SetCurrent(tx store.Tx, row *Row) error { return tx.Put(current, Key(row.Digest), []byte(row.ID)) }

// Attach adds an account to an analysis, or changes the repository it pulls from.
func Attach(tx store.Tx, analysis string, account uint32, tag string) error {
	row := &SourceRow{Analysis: analysis, Account: account, Tag: tag}
	old, err := Sources.Find(tx, Sources.Key(row))
	if err != nil {
		return err
	}
	return Sources.Replace(tx, old, row)
}

// Detach removes an account from an analysis, and the analysis itself when nobody
// is left. Its blobs are then collected.
func Detach(tx store.Tx, analysis string, account uint32) error {
	if err := Sources.Delete(tx, &SourceRow{Analysis: analysis, Account: account}); err != nil {
		return err
	}
	left, err := Sources.Scan(tx, store.Range{Prefix: SourcePrefix(analysis), Limit: 1})
	if err != nil || len(left) > 0 {
		return err
	}
	row, err := Table.Find(tx, Key(analysis))
	if err != nil || row == nil {
		return err
	}
	newest, err := Current(tx, row.Digest)
	if err != nil {
		return err
	}
	if newest != nil && newest.ID == row.ID {
		if err := tx.Delete(current, Key(row.Digest)); err != nil {
			return err
		}
	}
	return Table.Delete(tx, row)
}

// Referenced reports whether a row names the blob.
func Referenced(tx store.Tx, blob store.Digest) (bool, error) {
	entries, err := tx.Scan(byBlob, store.Range{Prefix: table.Key{}.Text(string(blob)), Limit: 1})
	return len(entries) > 0, err
}

// Earliest returns the analysis that is due first, or nil.
func Earliest(tx store.Tx) (*Row, error) {
	rows, err := Table.By(tx, ByDue, store.Range{Limit: 1})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// Waiting returns the analyses that have not ended, up to store.MaxPage of them.
func Waiting(tx store.Tx) ([]*Row, error) {
	return Table.By(tx, ByDue, store.Range{Limit: store.MaxPage})
}

// Claim gives the analysis to the caller until the lease ends. If the lease before
// ended by itself after it had reached the child, that counts as a crash: the image
// may have caused it. What stopped an engine that only fetched was something else.
func Claim(tx store.Tx, row *Row, now time.Time, lease time.Duration) (*Row, error) {
	next := *row
	next.State, next.Reason = Running, ""
	next.Token++
	next.Attempt++
	if row.Begun {
		next.Begun = false
		next.Crashes++
	}
	next.Due = table.Nanos(now.Add(lease))
	return &next, Table.Replace(tx, row, &next)
}

// EndLease makes the analysis with the key due at once if somebody holds it.
func EndLease(tx store.Tx, key []byte, now int64) error {
	row, err := Table.Find(tx, key)
	if err != nil || row == nil || row.State != Running || row.Due <= now {
		return err
	}
	next := *row
	next.Due = now
	return Table.Replace(tx, row, &next)
}

// FitClock returns when an analysis is due by a clock that may have been set back
// since: one that was never taken waits for nothing. Who holds one sees to it.
func (r *Row) FitClock(now time.Time, longest time.Duration) int64 {
	switch {
	case r.State != Queued:
		return r.Due
	case r.Token == 0:
		return table.FitClock(r.Due, r.Due, now, longest)
	}
	return table.FitClock(r.Due, 0, now, longest)
}

// FitClock writes what Row.FitClock returns of the analysis with the key.
func FitClock(tx store.Tx, key []byte, now time.Time, longest time.Duration) error {
	row, err := Table.Find(tx, key)
	if err != nil || row == nil || row.FitClock(now, longest) >= row.Due {
		return err
	}
	next := *row
	next.Due = row.FitClock(now, longest)
	return Table.Replace(tx, row, &next)
}

// Held returns the analysis if the caller still holds the lease numbered token.
// Errors: Conflict if not.
func Held(tx store.Tx, id string, token uint64) (*Row, error) {
	row, err := Table.Find(tx, Key(id))
	if err != nil {
		return nil, err
	}
	if row == nil || row.State != Running || row.Token != token {
		return nil, anchore.E(anchore.Conflict, "work.Held", "the lease on analysis %s was lost", id)
	}
	return row, nil
}

// Status is the analysis in the words of an image's status.
func (r *Row) Status() anchore.AnalysisStatus {
	switch r.State {
	case Running:
		return anchore.Analyzing
	case Done:
		return anchore.Analyzed
	case Failed:
		return anchore.AnalysisFailed
	default:
		return anchore.NotAnalyzed
	}
}

// End makes the row that of an analysis that is over.
func (r *Row) End(state State, now time.Time) {
	r.State, r.Due, r.Finished, r.Begun = state, 0, table.Nanos(now), false
}

// Summarize records what the analysis found out.
func (r *Row) Summarize(s anchore.Summary) {
	r.Distro, r.Version, r.Size, r.Packages = s.Distro, s.DistroVersion, s.Size, s.Packages
}

// Summary is what the analysis found out.
func (r *Row) Summary() anchore.Summary {
	return anchore.Summary{Distro: r.Distro, DistroVersion: r.Version, Size: r.Size, Packages: r.Packages}
}
