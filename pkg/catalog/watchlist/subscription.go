// Package watchlist keeps the subscriptions, and what the watches of repositories
// among them have seen.
package watchlist

import (
	"context"
	"log/slog"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/change"
	"github.com/anchore/anchore-engine/pkg/catalog/eventlog"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// List is the subscriptions of all accounts. Its methods may be called from many
// goroutines.
type List struct {
	store    *change.Store
	recorder *eventlog.Recorder
	log      *slog.Logger
	changed  change.Hint
	told     change.Hint // of the notifications of the events
}

// New builds a List. changed is given when the set of watched tags may have
// changed, told when an event was raised.
func New(s *change.Store, r *eventlog.Recorder, log *slog.Logger, changed, told change.Hint) *List {
	return &List{store: s, recorder: r, log: log, changed: changed, told: told}
}

// SubscriptionsChanged hints that the set of watched tags may have changed.
func (l *List) SubscriptionsChanged() <-chan struct{} { return l.changed }

// Filter selects subscriptions; empty fields select all. Key is
// normalised as a reference is.
type Filter struct {
	Key  string
	Type string
}

// Subscriptions returns the account's subscriptions, sorted by key, then type,
// from the one after the given token on. limit 0 is all. next is the token of the
// following page, "" at the end. Errors: Invalid for an unknown type or a key that
// is no reference.
func (l *List) Subscriptions(ctx context.Context, name string, f Filter, after string, limit int) (subs []anchore.Subscription, next string, err error) {
	match, prefix, err := f.compile()
	if err != nil {
		return nil, "", err
	}
	r := store.Range{Start: []byte(after), Limit: store.MaxPage}
	var last *subscription.Row // of subs
	for {
		page := make([]*subscription.Row, 0, store.MaxPage)
		err := l.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) (err error) {
			r.Prefix = append(table.Key{}.Uint32(acct.No), prefix...)
			page, err = subscription.Table.Scan(tx, r)
			return err
		})
		if err != nil {
			return nil, "", err
		}
		for _, row := range page {
			if !match(row) {
				continue
			}
			if limit > 0 && len(subs) == limit {
				return subs, string(table.After(subscription.Table.Key(last))), nil
			}
			subs, last = append(subs, row.Domain(name)), row
		}
		if len(page) < store.MaxPage {
			return subs, "", nil
		}
		r.Start = table.After(subscription.Table.Key(page[len(page)-1]))
	}
}

// compile returns the filter as a function, and what the keys it selects begin
// with after the account.
func (f Filter) compile() (match func(*subscription.Row) bool, prefix []byte, err error) {
	var t anchore.SubscriptionType
	if f.Type != "" {
		if t, err = anchore.ParseSubscriptionType(f.Type); err != nil {
			return nil, nil, err
		}
	}
	tagKey, repoKey := "", ""
	if f.Key != "" {
		tag, tagErr := anchore.ParseSubscriptionKey(anchore.TagUpdate, f.Key)
		repo, repoErr := anchore.ParseSubscriptionKey(anchore.RepoUpdate, f.Key)
		if tagErr != nil && repoErr != nil {
			return nil, nil, tagErr
		}
		tagKey, repoKey = tag, repo
	}
	if tagKey != "" && (repoKey == "" || t != "" && t != anchore.RepoUpdate) {
		prefix = table.Key{}.Text(tagKey)
	}
	return func(row *subscription.Row) bool {
		rt := anchore.SubscriptionType(row.Type)
		want := tagKey
		if rt == anchore.RepoUpdate {
			want = repoKey
		}
		return (t == "" || rt == t) && (f.Key == "" || row.Key == want)
	}, prefix, nil
}

// Subscription returns the account's subscription with the id, or with it as
// alias. Errors: NotFound.
func (l *List) Subscription(ctx context.Context, name, id string) (anchore.Subscription, error) {
	var s anchore.Subscription
	err := l.store.ViewAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := subscriptionByID(tx, acct, id)
		if err != nil {
			return err
		}
		s = row.Domain(name)
		return nil
	})
	return s, err
}

func subscriptionByID(tx store.Tx, acct *account.Row, id string) (*subscription.Row, error) {
	row, err := subscription.ByID(tx, acct.No, id)
	if err == nil && row == nil {
		return nil, anchore.E(anchore.NotFound, "catalog.Subscription", "no subscription has the id %q; anchore-cli subscription list --full shows the ids", id)
	}
	return row, err
}

// AddSubscription stores s unless the account has it already, and returns what is
// stored and whether it is new. The key is normalised. Errors: Invalid for the
// type, key or value.
func (l *List) AddSubscription(ctx context.Context, s anchore.Subscription) (stored anchore.Subscription, created bool, err error) {
	if s.Type, err = anchore.ParseSubscriptionType(string(s.Type)); err != nil {
		return s, false, err
	}
	if s.Key, err = anchore.ParseSubscriptionKey(s.Type, s.Key); err != nil {
		return s, false, err
	}
	if s.Value, err = anchore.ParseSubscriptionValue(s.Type, s.Value); err != nil {
		return s, false, err
	}
	st, err := l.store.Stamp()
	if err != nil {
		return s, false, err
	}
	s.CreatedAt, s.UpdatedAt = st.Now, st.Now
	err = l.store.UpdateAccount(ctx, s.Account, func(tx store.Tx, acct *account.Row) error {
		row, err := subscription.Find(tx, acct.No, s.Key, s.Type)
		if err != nil {
			return err
		}
		if created = row == nil; created {
			row = subscription.New(acct.No, s)
			if s.Type == anchore.RepoUpdate {
				row.Repository = newWatch(st)
			}
			if err := subscription.Table.Insert(tx, row); err != nil {
				return err
			}
		}
		stored = row.Domain(s.Account)
		return nil
	})
	if err == nil && created {
		l.changed.Wake()
	}
	return stored, created, err
}

// Update is a change of a subscription; nil fields stay. Key and Type,
// where given, must name the subscription itself.
type Update struct {
	Active *bool
	Value  *string
	Key    string
	Type   string
}

// UpdateSubscription changes the subscription with the id. It writes nothing if
// nothing changes. Errors: NotFound; Invalid for a value, or a key or type of
// another subscription.
func (l *List) UpdateSubscription(ctx context.Context, name, id string, u Update) (anchore.Subscription, error) {
	var s anchore.Subscription
	st, err := l.store.Stamp()
	if err != nil {
		return s, err
	}
	err = l.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := subscriptionByID(tx, acct, id)
		if err != nil {
			return err
		}
		if err := u.names(row); err != nil {
			return err
		}
		next := *row
		if u.Active != nil {
			next.Active = *u.Active
		}
		if u.Value != nil {
			if next.Value, err = anchore.ParseSubscriptionValue(anchore.SubscriptionType(row.Type), *u.Value); err != nil {
				return err
			}
		}
		if err := chooseAgain(st, row, &next); err != nil {
			return err
		}
		if next.Active != row.Active || next.Value != row.Value {
			next.Updated = table.Nanos(st.Now)
		}
		s = next.Domain(name)
		return subscription.Table.Replace(tx, row, &next)
	})
	if err == nil {
		l.changed.Wake()
	}
	return s, err
}

// names checks that the key and type that a client repeats are the row's own.
func (u Update) names(row *subscription.Row) error {
	const op = "catalog.UpdateSubscription"
	if u.Type != "" && u.Type != row.Type {
		return anchore.E(anchore.Invalid, op, "the subscription is of type %s, not %q; a subscription's type and key cannot change: add another one", row.Type, u.Type)
	}
	if u.Key == "" {
		return nil
	}
	key, err := anchore.ParseSubscriptionKey(anchore.SubscriptionType(row.Type), u.Key)
	if err != nil {
		return err
	}
	if key != row.Key {
		return anchore.E(anchore.Invalid, op, "the subscription is to %s, not %q; a subscription's type and key cannot change: add another one", row.Key, u.Key)
	}
	return nil
}

// DeleteSubscription removes the subscription with the id. Errors: NotFound;
// Conflict if it is active (a repo_update may be deleted as it is).
func (l *List) DeleteSubscription(ctx context.Context, name, id string) error {
	var deleted *subscription.Row
	err := l.store.UpdateAccount(ctx, name, func(tx store.Tx, acct *account.Row) error {
		row, err := subscriptionByID(tx, acct, id)
		if err != nil {
			return err
		}
		if row.Active && row.Type != string(anchore.RepoUpdate) {
			return anchore.E(anchore.Conflict, "catalog.DeleteSubscription", "the subscription %s to %s is active; deactivate it first: anchore-cli subscription deactivate %s %s", row.Type, row.Key, row.Type, row.Key)
		}
		deleted = row
		return subscription.Table.Delete(tx, row)
	})
	if err != nil {
		return err
	}
	l.changed.Wake()
	if deleted.Type == string(anchore.RepoUpdate) {
		if err := purgeRepository(ctx, l.store, deleted.Account, deleted.Key); err != nil {
			l.log.Warn("what was known of a repository's tags is removed later", "repository", deleted.Key, "error", err)
		}
	}
	return nil
}
