package watchlist

import (
	"context"
	"fmt"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/repository"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// WatchedRepository is a repository that an account's repo_update watches.
type WatchedRepository struct {
	Account     string
	Ref         anchore.Reference // without a tag
	Watch       anchore.RepositoryWatch
	Taken       bool      // the first list was taken: see TakeFirstList
	ChangedAt   time.Time // when somebody last changed the subscription
	FailedSince time.Time // since when it cannot be listed, or zero

	id, first uint64 // of the watch and of its first list
}

// newWatch is the state of a watch that begins.
func newWatch(st change.Stamp) *subscription.RepositoryRow {
	return &subscription.RepositoryRow{ID: uint64(st.Nanos), First: uint64(st.Nanos)}
}

// chooseAgain makes the watch of a repo_update begin with a first list once more
// if next wants other tags than row. What it added stays added.
func chooseAgain(st change.Stamp, row, next *subscription.Row) error {
	if row.Type != string(anchore.RepoUpdate) || row.Value == next.Value {
		return nil
	}
	want, err := next.Watch()
	if err != nil {
		return err
	}
	if had, err := row.Watch(); err == nil && had.SameTags(want) {
		return nil
	}
	state := row.WatchState()
	state.First, state.Taken = uint64(st.Nanos), false
	next.Repository = &state
	return nil
}

// RepositoryWatchOf returns the account's watch of a repository, if it has one, as it
// would be after WatchRepository with want. Errors: NotFound for the account.
func (l *List) RepositoryWatchOf(ctx context.Context, name string, ref anchore.Reference, want anchore.RepositoryWatch) (w WatchedRepository, watched bool, err error) {
	err = l.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := subscription.Find(tx, acct.No, ref.RepositoryName(), anchore.RepoUpdate)
		if err != nil || row == nil {
			return err
		}
		watched = true
		if w, err = watchedRepository(acct.Name, row); err == nil && !w.Watch.SameTags(want) {
			w.first = 0 // it would begin with a first list of its own
		}
		return err
	})
	return w, watched, err
}

// WatchRepository stores an active repo_update of the account, or, if it has one,
// changes what that wants; whether it is active stays. created says which.
func (l *List) WatchRepository(ctx context.Context, name string, ref anchore.Reference, want anchore.RepositoryWatch) (w WatchedRepository, sub anchore.Subscription, created bool, err error) {
	st, err := l.store.Stamp()
	if err != nil {
		return w, sub, false, err
	}
	key := ref.RepositoryName()
	err = l.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		old, err := subscription.Find(tx, acct.No, key, anchore.RepoUpdate)
		if err != nil {
			return err
		}
		var next subscription.Row
		if created = old == nil; created {
			next = *subscription.New(acct.No, anchore.Subscription{
				Account: name, Key: key, Type: anchore.RepoUpdate, Active: true, CreatedAt: st.Now, UpdatedAt: st.Now,
			})
			next.Repository = newWatch(st)
		} else {
			next = *old
		}
		if next.Value, err = anchore.RepositoryValue(next.Value, want, nil); err != nil {
			return err
		}
		if !created {
			if err := chooseAgain(st, old, &next); err != nil {
				return err
			}
			if next.Value != old.Value {
				next.Updated = table.Nanos(st.Now)
			}
		}
		if w, err = watchedRepository(name, &next); err != nil {
			return err
		}
		sub = next.Domain(name)
		return subscription.Table.Replace(tx, old, &next)
	})
	return w, sub, created, err
}

// watchedRepository reads a repo_update's row. Errors: Invalid for a value that
// this version does not understand.
func watchedRepository(account string, row *subscription.Row) (WatchedRepository, error) {
	ref, err := anchore.ParseRepository(row.Key)
	if err != nil {
		return WatchedRepository{}, fmt.Errorf("stored repository: %w", err)
	}
	want, err := row.Watch()
	if err != nil {
		return WatchedRepository{}, err
	}
	state := row.WatchState()
	return WatchedRepository{
		Account: account, Ref: ref, Watch: want, Taken: state.Taken, ChangedAt: table.Time(row.Updated),
		FailedSince: table.Time(state.Failed), id: state.ID, first: state.First,
	}, nil
}

// WatchedRepositories returns a page of the repositories with an active repo_update
// in enabled accounts, by repository, then account. next continues; it is "" at
// the end.
func (l *List) WatchedRepositories(ctx context.Context, after string, limit int) (list []WatchedRepository, next string, err error) {
	if limit <= 0 || limit > store.MaxPage {
		limit = store.MaxPage
	}
	err = l.store.View(ctx, func(tx store.Tx) error {
		accounts := map[uint32]*account.Row{}
		r := store.Range{Prefix: subscription.ActivePrefix(anchore.RepoUpdate), Start: []byte(after), Limit: limit}
		rows, err := subscription.Table.By(tx, subscription.ByActive, r)
		if err != nil {
			return err
		}
		for _, row := range rows {
			acct, ok := accounts[row.Account]
			if !ok {
				if acct, err = account.ByNumber(tx, row.Account); err != nil {
					return err
				}
				accounts[row.Account] = acct
			}
			if acct == nil || acct.State != string(anchore.AccountEnabled) {
				continue
			}
			w, err := watchedRepository(acct.Name, row)
			if err != nil {
				l.log.Error("a repository is not watched", "account", acct.Name, "repository", row.Key, "error", err)
				continue
			}
			list = append(list, w)
		}
		if len(rows) == limit {
			last := rows[limit-1]
			next = string(table.After(subscription.ActiveKey(anchore.RepoUpdate, last.Key, last.Account)))
		}
		return nil
	})
	return list, next, err
}

// firstListPage is how many tags of a first list one transaction settles: a read
// and a write each, beside the account and the subscription.
const firstListPage = 45

// TakeFirstList records that the watch chose from the tags that the repository had
// when it began: those in pass are not wanted, the others are new. Tags that were
// added stay so. It does nothing if the first list was taken already. It goes page
// by page; a crash in between leaves the list not taken.
func (l *List) TakeFirstList(ctx context.Context, w WatchedRepository, pass []string) error {
	for {
		page := pass[:min(firstListPage, len(pass))]
		pass = pass[len(page):]
		_, err := l.updateWatch(ctx, w, func(tx store.Tx, row *subscription.Row) error {
			state := row.WatchState()
			if state.Taken {
				return nil
			}
			for _, tag := range page {
				if err := passTag(tx, row, tag); err != nil {
					return err
				}
			}
			if len(pass) > 0 {
				return nil
			}
			next := *row
			state.Taken = true
			next.Repository = &state
			return subscription.Table.Replace(tx, row, &next)
		})
		if err != nil || len(pass) == 0 {
			l.changed.Wake() // also of what WatchRepository stored before
			return err
		}
	}
}

func passTag(tx store.Tx, sub *subscription.Row, tag string) error {
	state := sub.WatchState()
	old, err := repository.Find(tx, sub.Account, sub.Key, tag)
	if err != nil {
		return err
	}
	if old != nil && old.Watch == state.ID && old.State == repository.Added {
		return nil
	}
	return repository.Table.Replace(tx, old, &repository.Row{
		Account: sub.Account, Repository: sub.Key, Tag: tag, Watch: state.ID, State: repository.Passed, First: state.First,
	})
}

// updateWatch runs fn in a transaction with the subscription of a watch, and reports
// whether it did: it does nothing if the watch ended or began anew.
func (l *List) updateWatch(ctx context.Context, w WatchedRepository, fn func(store.Tx, *subscription.Row) error) (done bool, err error) {
	err = l.store.UpdateAccount(ctx, w.Account, func(tx store.Tx, acct *account.Row) error {
		done = false
		row, err := subscription.Find(tx, acct.No, w.Ref.RepositoryName(), anchore.RepoUpdate)
		if err != nil || row == nil {
			return err
		}
		if state := row.WatchState(); state.ID != w.id || state.First != w.first {
			return nil
		}
		done = true
		return fn(tx, row)
	})
	return done, err
}

// RepositoryTags returns the tags that the watch has seen: with the zero time those
// that are settled, with the time of the next attempt those that failed. One that failed
// by a clock that was ahead, and was set back since, is due now.
func (l *List) RepositoryTags(ctx context.Context, w WatchedRepository) (map[string]time.Time, error) {
	var no uint32
	err := l.store.ViewAccount(ctx, w.Account, func(_ store.Tx, acct *account.Row) error {
		no = acct.No
		return nil
	})
	if err != nil {
		return nil, err
	}
	tags, now := map[string]time.Time{}, time.Now()
	err = repository.Table.Each(ctx, l.store, repository.Prefix(no, w.Ref.RepositoryName()), func(row *repository.Row) error {
		if row.Watch == w.id && (row.State != repository.Passed || row.First == w.first) {
			next := table.Time(row.Next)
			if next.Sub(now) > maxTagRetry {
				next = now
			}
			tags[row.Tag] = next
		}
		return nil
	})
	return tags, err
}

// RepositoryTagAdded records that the image of a tag was taken in, and reports
// whether the repository is still watched.
func (l *List) RepositoryTagAdded(ctx context.Context, w WatchedRepository, tag string) (watched bool, err error) {
	active := false
	watched, err = l.updateWatch(ctx, w, func(tx store.Tx, sub *subscription.Row) error {
		active = sub.Active
		old, err := repository.Find(tx, sub.Account, sub.Key, tag)
		if err != nil {
			return err
		}
		if old != nil && old.Watch == w.id && old.State == repository.Added {
			return nil
		}
		err = repository.Table.Replace(tx, old, &repository.Row{
			Account: sub.Account, Repository: sub.Key, Tag: tag, Watch: w.id, State: repository.Added,
		})
		if err != nil {
			return err
		}
		next, state := *sub, sub.WatchState()
		state.Added++
		next.Repository = &state
		return subscription.Table.Replace(tx, sub, &next)
	})
	return watched && active, err
}

// How long a tag that could not be taken in is let be: doubled with each attempt.
const (
	firstTagRetry = time.Minute
	maxTagRetry   = 24 * time.Hour
)

// RepositoryTagFailed records that the image of a tag could not be taken in, and
// raises e the first time; an e without a type is not raised. The tag is tried again
// later and later.
func (l *List) RepositoryTagFailed(ctx context.Context, w WatchedRepository, tag string, e anchore.Event) (first bool, err error) {
	st, err := l.store.Stamp()
	if err != nil {
		return false, err
	}
	err = l.store.UpdateAccount(ctx, w.Account, func(tx store.Tx, acct *account.Row) error {
		sub, err := subscription.Find(tx, acct.No, w.Ref.RepositoryName(), anchore.RepoUpdate)
		if err != nil || sub == nil || sub.WatchState().ID != w.id {
			first = false
			return err
		}
		old, err := repository.Find(tx, acct.No, sub.Key, tag)
		if err != nil {
			return err
		}
		next := repository.Row{Account: acct.No, Repository: sub.Key, Tag: tag, Watch: w.id, State: repository.Failing}
		if old != nil && old.Watch == w.id && old.State == repository.Failing {
			next.Attempts, next.Told = old.Attempts, old.Told
		}
		next.Attempts++
		first = e.Type != "" && !next.Told
		next.Told = next.Told || first
		next.Next = table.Nanos(st.Now.Add(tagRetry(next.Attempts)))
		if first {
			e.Account = w.Account
			if err := l.recorder.Record(tx, acct, st, 0, e); err != nil {
				return err
			}
		}
		return repository.Table.Replace(tx, old, &next)
	})
	if err == nil && first {
		l.told.Wake()
	}
	return first, err
}

func tagRetry(attempts int) time.Duration {
	wait := firstTagRetry
	for range attempts - 1 {
		if wait *= 2; wait >= maxTagRetry {
			return maxTagRetry
		}
	}
	return wait
}

// RepositoryListFailed records that a repository cannot be listed, and raises an
// event the first time. It does nothing if the watch ended or began anew.
func (l *List) RepositoryListFailed(ctx context.Context, w WatchedRepository, reason string) (first bool, err error) {
	st, err := l.store.Stamp()
	if err != nil {
		return false, err
	}
	err = l.store.UpdateAccount(ctx, w.Account, func(tx store.Tx, acct *account.Row) error {
		sub, err := subscription.Find(tx, acct.No, w.Ref.RepositoryName(), anchore.RepoUpdate)
		if first = err == nil && sub != nil && sub.WatchState().ID == w.id && sub.WatchState().Failed == 0; !first {
			return err
		}
		next, state := *sub, sub.WatchState()
		state.Failed = table.Nanos(st.Now)
		next.Repository = &state
		err = l.recorder.Record(tx, acct, st, 0, anchore.Event{
			Account: w.Account, Type: anchore.EventListTagsFailed, Level: anchore.Failure, Service: "catalog",
			Message:  "Failed to list tags in repository",
			Resource: anchore.Resource{Type: "repository", ID: sub.Key},
			Details:  map[string]any{"msg": reason},
		})
		if err != nil {
			return err
		}
		return subscription.Table.Replace(tx, sub, &next)
	})
	if err == nil && first {
		l.told.Wake()
		l.changed.Wake()
	}
	return first, err
}

// RepositoryListed records that a repository can be listed again.
func (l *List) RepositoryListed(ctx context.Context, w WatchedRepository) error {
	defer l.changed.Wake()
	_, err := l.updateWatch(ctx, w, func(tx store.Tx, sub *subscription.Row) error {
		next, state := *sub, sub.WatchState()
		state.Failed = 0
		next.Repository = &state
		return subscription.Table.Replace(tx, sub, &next)
	})
	return err
}

// purgeTagsPage is how many tags one transaction forgets: a read and a write each.
const purgeTagsPage = 45

// purgeRepository forgets the tags that no watch of now has seen.
func purgeRepository(ctx context.Context, s *change.Store, no uint32, key string) error {
	var start []byte
	for {
		var next []byte
		err := s.Update(ctx, func(tx store.Tx) error {
			sub, err := subscription.Find(tx, no, key, anchore.RepoUpdate)
			if err != nil {
				return err
			}
			rows, err := repository.Table.Scan(tx, store.Range{Prefix: repository.Prefix(no, key), Start: start, Limit: purgeTagsPage})
			if err != nil {
				return err
			}
			for _, row := range rows {
				if sub != nil && sub.WatchState().ID == row.Watch {
					continue
				}
				if err := repository.Table.Delete(tx, row); err != nil {
					return err
				}
			}
			next = nil
			if len(rows) == purgeTagsPage {
				next = table.After(repository.Table.Key(rows[len(rows)-1]))
			}
			return nil
		})
		if err != nil || next == nil {
			return err
		}
		start = next
	}
}

// Sweep finishes what a deletion of watches left. It reads one row of
// each repository and writes nothing if there is nothing to do.
func Sweep(ctx context.Context, s *change.Store) error {
	var after []byte
	for {
		var no uint32
		var name string
		var found, orphan bool
		err := s.View(ctx, func(tx store.Tx) (err error) {
			if no, name, after, found, err = repository.Next(tx, after); err != nil || !found {
				return err
			}
			sub, err := subscription.Find(tx, no, name, anchore.RepoUpdate)
			orphan = sub == nil
			return err
		})
		if err != nil || !found {
			return err
		}
		if orphan {
			if err := purgeRepository(ctx, s, no, name); err != nil {
				return err
			}
		}
	}
}
