// Package trouble keeps what is wrong for a time, and what an event told of it, so
// that no restart tells it again.
package trouble

import (
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog/table"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Row is a stored trouble: one for each type of event and thing that it is about,
// however often it came back.
type Row struct {
	Type     string `cbor:"1,keyasint"`
	Resource string `cbor:"2,keyasint"`
	Level    string `cbor:"3,keyasint"`           // of its event
	Told     int64  `cbor:"4,keyasint"`           // when an event last told of it
	Over     int64  `cbor:"5,keyasint,omitempty"` // when it ended, 0 while it stands
}

// Table holds the troubles by (type, resource).
var Table = table.Table[Row]{
	Bucket: "trouble",
	Key:    func(r *Row) []byte { return key(r.Type, r.Resource) },
}

func key(kind, resource string) []byte { return table.Key{}.Text(kind).Text(resource) }

// Find returns the trouble of an event's type and resource, or nil.
func Find(tx store.Tx, kind anchore.EventType, resource string) (*Row, error) {
	return Table.Find(tx, key(string(kind), resource))
}

// Domain returns the trouble in the engine's words.
func (r *Row) Domain() anchore.Trouble {
	return anchore.Trouble{
		Type: anchore.EventType(r.Type), Resource: r.Resource, Level: anchore.Level(r.Level),
		ToldAt: table.Time(r.Told), OverAt: table.Time(r.Over),
	}
}
