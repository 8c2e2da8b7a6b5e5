package catalog

import (
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/account"
	"github.com/anchore/anchore-engine/pkg/catalog/subscription"
	"github.com/anchore/anchore-engine/pkg/store"
)

// subscribeTag creates the default subscriptions of a tag that do not exist. It
// never changes one that does. tagUpdate says whether tag_update may be active.
func (c *Catalog) subscribeTag(tx store.Tx, acct *account.Row, key string, tagUpdate bool, now time.Time) error {
	for _, t := range anchore.TagSubscriptionTypes() {
		active, wanted := c.defaults[t]
		if !wanted {
			continue
		}
		row, err := subscription.Find(tx, acct.No, key, t)
		if err != nil {
			return err
		}
		if row != nil {
			continue
		}
		if t == anchore.TagUpdate {
			active = active && tagUpdate
		}
		s := anchore.Subscription{Account: acct.Name, Key: key, Type: t, Active: active, CreatedAt: now, UpdatedAt: now}
		if err := subscription.Table.Insert(tx, subscription.New(acct.No, s)); err != nil {
			return err
		}
	}
	return nil
}
