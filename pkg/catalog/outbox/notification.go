// Package outbox keeps notifications and their deliveries.
//
// A notification is one thing that one subscription is told; it has one delivery
// for each endpoint, and each is its own unit of work. Deliveries that have not
// ended wait in lanes: one for each (endpoint, subscription), in the order of
// their causes. Exactly one delivery of a lane that is not empty is its head, and
// only heads are in the due index, so order within a lane is kept however long the
// head takes, and lanes never wait for each other. Ending the head makes the next
// one the head, in the same transaction. What ended is kept under its notification
// until Expire removes both.
package outbox

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored notification.
type Row struct {
	Account      uint32   `cbor:"1,keyasint"`
	Cause        []byte   `cbor:"2,keyasint"` // 16 bytes that sort by time
	Subscription []byte   `cbor:"3,keyasint"` // 16 bytes of anchore.SubscriptionID
	ID           string   `cbor:"4,keyasint"`
	Type         string   `cbor:"5,keyasint"`
	Key          string   `cbor:"6,keyasint"`
	Summary      string   `cbor:"7,keyasint,omitempty"`
	Payload      []byte   `cbor:"8,keyasint"` // JSON
	Created      int64    `cbor:"9,keyasint"`
	Endpoints    []string `cbor:"10,keyasint,omitempty"` // where it is delivered, as routed when it was written
	Name         string   `cbor:"11,keyasint,omitempty"` // the account's, which may be deleted before this is sent
}

const byID store.Bucket = "notification_id"

// Notifications holds the notifications of each account, the newest cause first.
var Notifications = table.Table[Row]{
	Bucket: "notification",
	Key:    func(r *Row) []byte { return notificationKey(r.Account, r.Cause, r.Subscription) },
	Indexes: []table.Index[Row]{{Bucket: byID, Keys: func(r *Row) [][]byte {
		return [][]byte{table.Key{}.Text(r.ID)}
	}}},
}

func notificationKey(account uint32, cause, subscription []byte) table.Key {
	key := table.Key{}.Uint32(account)
	for _, b := range cause {
		key = append(key, ^b)
	}
	return append(key, subscription...)
}

// Put writes a notification of the account with that number, and one delivery to
// each endpoint, due at once if nothing waits before it. It writes nothing if the
// notification exists. It touches 4 keys and up to 3 for each endpoint.
func Put(tx store.Tx, account uint32, causeID [16]byte, n anchore.Notification, endpoints []string) error {
	subscription, err := hex.DecodeString(n.SubscriptionID)
	if err != nil || len(subscription) != 16 {
		return fmt.Errorf("outbox.Put: %q is not the id of a subscription", n.SubscriptionID)
	}
	row := &Row{
		Account: account, Cause: causeID[:], Subscription: subscription, ID: n.ID, Type: string(n.Type), Key: n.Key,
		Summary: n.Summary, Payload: n.Payload, Created: max(1, table.Nanos(n.CreatedAt)), Endpoints: distinct(endpoints),
		Name: n.Account,
	}
	old, err := Notifications.Find(tx, Notifications.Key(row))
	if err != nil || old != nil {
		return err
	}
	if err := Notifications.Insert(tx, row); err != nil {
		return err
	}
	for _, endpoint := range row.Endpoints {
		d := &Pending{Endpoint: endpoint, Account: account, Cause: row.Cause, Subscription: subscription, Created: row.Created}
		first, err := Deliveries.Scan(tx, store.Range{Prefix: laneKey(d), Limit: 1})
		if err != nil {
			return err
		}
		if len(first) == 0 {
			d.Due = row.Created
		}
		if err := Deliveries.Insert(tx, d); err != nil {
			return err
		}
	}
	return nil
}

func distinct(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

// ByID returns the notification with the id, or nil.
func ByID(tx store.Tx, id string) (*Row, error) {
	key, err := tx.Get(byID, table.Key{}.Text(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Notifications.Get(tx, key)
}

// Page returns up to limit notifications of the account that come after the one
// with the id after ("" is the start), the newest cause first.
func Page(tx store.Tx, account uint32, after string, limit int) ([]*Row, error) {
	r := store.Range{Prefix: table.Key{}.Uint32(account), Limit: limit}
	if after != "" {
		last, err := ByID(tx, after)
		if err != nil {
			return nil, err
		}
		if last == nil || last.Account != account {
			return nil, anchore.E(anchore.NotFound, "outbox.Page", "no notification %q to continue after", after)
		}
		r.Start = table.After(Notifications.Key(last))
	}
	return Notifications.Scan(tx, r)
}

// Domain returns the notification in the engine's words.
func (r *Row) Domain() anchore.Notification {
	return anchore.Notification{
		ID: r.ID, Account: r.account(), Type: anchore.SubscriptionType(r.Type), SubscriptionID: hex.EncodeToString(r.Subscription),
		Key: r.Key, Summary: r.Summary, Payload: json.RawMessage(r.Payload), CreatedAt: table.Time(r.Created),
	}
}

// account is the name of the account. Rows of older engines have it in the payload
// alone.
func (r *Row) account() string {
	var payload struct {
		UserID string `json:"userId"`
	}
	if r.Name == "" {
		_ = json.Unmarshal(r.Payload, &payload) // this engine wrote it
	}
	return cmp.Or(r.Name, payload.UserID)
}

// Cursor is how far a sweep of the notifications has come; nil is the start.
type Cursor []byte

// expirePage is how many notifications one View of Expirable reads.
const expirePage = 50

// Expirable returns notifications whose cause is older than before and all of
// whose deliveries ended before it, and the cursor of the next page, nil after the
// last. It reads one page of one account. Nothing is older than 1970.
func Expirable(tx store.Tx, from Cursor, before time.Time) (ended []*Row, next Cursor, err error) {
	limit := table.Nanos(before)
	if limit <= 0 {
		return nil, nil, nil
	}
	entries, err := tx.Scan(Notifications.Bucket, store.Range{Start: from, Limit: 1})
	if err != nil || len(entries) == 0 {
		return nil, nil, err
	}
	prefix := slices.Clip(entries[0].Key[:4]) // the account's number
	start := table.Key(prefix).Uint64(^uint64(limit))
	if bytes.Compare(from, start) > 0 {
		start = table.Key(from)
	}
	rows, err := Notifications.Scan(tx, store.Range{Prefix: prefix, Start: start, Limit: expirePage})
	if err != nil {
		return nil, nil, err
	}
	for _, row := range rows {
		done, err := Done.Scan(tx, store.Range{Prefix: Notifications.Key(row)})
		if err != nil {
			return nil, nil, err
		}
		if len(done) >= len(row.Endpoints) && !slices.ContainsFunc(done, func(d *Ended) bool { return d.At >= limit }) {
			ended = append(ended, row)
		}
	}
	if len(rows) == expirePage {
		return ended, table.After(Notifications.Key(rows[len(rows)-1])), nil
	}
	return ended, nextAccount(prefix), nil
}

// nextAccount is the start of the rows of the account after the one with the
// given number, or nil after the last.
func nextAccount(prefix []byte) Cursor {
	no := binary.BigEndian.Uint32(prefix) + 1
	if no == 0 {
		return nil
	}
	return Cursor(table.Key{}.Uint32(no))
}

// Remove deletes a notification that Expirable returned, with its deliveries,
// unless one of them has come back. It touches 4 keys and 3 for each endpoint.
func Remove(tx store.Tx, row *Row) error {
	row, err := Notifications.Find(tx, Notifications.Key(row))
	if err != nil || row == nil {
		return err
	}
	done, err := Done.Scan(tx, store.Range{Prefix: Notifications.Key(row)})
	if err != nil || len(done) < len(row.Endpoints) {
		return err
	}
	for _, d := range done {
		if err := Done.Delete(tx, d); err != nil {
			return err
		}
	}
	return Notifications.Delete(tx, row)
}

// NotificationID derives the id from the cause and the subscription, so that a
// page that runs again writes the same notification. It has the form of a UUID of
// version 8 (RFC 9562 §5.8: custom).
func NotificationID(causeID [16]byte, subscriptionID string) string {
	sum := sha256.Sum256(append(causeID[:], subscriptionID...))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
