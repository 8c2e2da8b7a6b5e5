package bolt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

var (
	errEnded    = errors.New("bolt: transaction used after its function returned")
	errReadOnly = errors.New("bolt: write in a View")
)

// row names one key of one bucket.
type row struct {
	bucket store.Bucket
	key    string
}

// write is what becomes of a row: a value, which is never nil, or its absence.
type write struct {
	value   []byte
	deleted bool
}

// tx is a store.Tx: a bbolt transaction, and beside it what the function wrote.
type tx struct {
	b        *bbolt.Tx
	file     string // its name, for errors
	writable bool
	ended    bool
	failed   error // an excess or a bad write, which fn cannot overcome by ignoring it

	reads  map[row]struct{} // nil in a View: reads are not limited there
	writes map[row]write
	bytes  int // keys and values in writes that are put
}

func newTx(b *bbolt.Tx, file string, writable bool) *tx {
	t := &tx{b: b, file: file, writable: writable}
	if writable {
		t.reads, t.writes = map[row]struct{}{}, map[row]write{}
	}
	return t
}

// run calls fn with the transaction, which then has ended.
func (t *tx) run(fn func(store.Tx) error) error {
	defer func() { t.ended = true }()
	if err := fn(t); err != nil {
		return err
	}
	return t.failed
}

// Get implements store.Tx.
func (t *tx) Get(b store.Bucket, key []byte) (value []byte, err error) {
	defer t.rescue("bolt.Get", debug.SetPanicOnFault(true), &err)
	if err := t.check(b, key); err != nil {
		return nil, err
	}
	r := row{b, string(key)}
	if w, ok := t.writes[r]; ok {
		if w.deleted {
			return nil, store.ErrNotFound
		}
		return clone(w.value), nil
	}
	if err := t.read(r); err != nil {
		return nil, err
	}
	bucket := t.b.Bucket([]byte(b))
	if bucket == nil {
		return nil, store.ErrNotFound
	}
	v := bucket.Get(key)
	if v == nil {
		return nil, store.ErrNotFound
	}
	return clone(v), nil
}

// Put implements store.Tx.
func (t *tx) Put(b store.Bucket, key, value []byte) error {
	return t.write(b, key, write{value: clone(value)})
}

// Delete implements store.Tx.
func (t *tx) Delete(b store.Bucket, key []byte) error {
	return t.write(b, key, write{deleted: true})
}

// Scan implements store.Tx.
func (t *tx) Scan(b store.Bucket, r store.Range) (page []store.Entry, err error) {
	defer t.rescue("bolt.Scan", debug.SetPanicOnFault(true), &err)
	if err := t.checkBucket(b); err != nil {
		return nil, err
	}
	if r.Limit < 0 || r.Limit > store.MaxPage {
		return nil, fmt.Errorf("bolt: a page of %d entries; allowed are 1 to %d", r.Limit, store.MaxPage)
	}
	limit := cmp.Or(r.Limit, store.MaxPage)
	from := r.Prefix // keys with the prefix are in one piece that begins with it
	if bytes.Compare(r.Start, from) > 0 {
		from = r.Start
	}
	own := t.written(b, r.Prefix, from)
	s := t.stored(b, r.Prefix, from)
	for len(page) < limit && (s.key != nil || len(own) > 0) {
		if len(own) == 0 || s.key != nil && string(s.key) < own[0].key {
			if t.reads != nil { // else the key would be copied for nothing
				if err := t.read(row{b, string(s.key)}); err != nil {
					return nil, err
				}
			}
			page = append(page, entry(s.key, s.value))
			s.next()
			continue
		}
		if w := t.writes[own[0]]; !w.deleted {
			page = append(page, store.Entry{Key: []byte(own[0].key), Value: clone(w.value)})
		}
		if string(s.key) == own[0].key { // the older value
			s.next()
		}
		own = own[1:]
	}
	return page, nil
}

// written returns the transaction's own writes in a range, in order of their keys.
func (t *tx) written(b store.Bucket, prefix, from []byte) []row {
	var own []row
	for r := range t.writes {
		if r.bucket == b && r.key >= string(from) && bytes.HasPrefix([]byte(r.key), prefix) {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, compareRows)
	return own
}

func compareRows(a, b row) int {
	return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.key, b.key))
}

// stored walks the keys of a bucket that have a prefix; key is nil at the end.
type stored struct {
	cursor     *bbolt.Cursor
	prefix     []byte
	key, value []byte
}

func (t *tx) stored(b store.Bucket, prefix, from []byte) *stored {
	s := &stored{prefix: prefix}
	if bucket := t.b.Bucket([]byte(b)); bucket != nil {
		s.cursor = bucket.Cursor()
		s.at(s.cursor.Seek(from))
	}
	return s
}

func (s *stored) next() { s.at(s.cursor.Next()) }

func (s *stored) at(key, value []byte) {
	if !bytes.HasPrefix(key, s.prefix) {
		key = nil
	}
	s.key, s.value = key, value
}

// read counts a key that was read. The transaction's own writes are not counted
// twice, nor is a key that is read again.
func (t *tx) read(r row) error {
	if t.reads == nil {
		return nil
	}
	t.reads[r] = struct{}{}
	return t.limit()
}

func (t *tx) write(b store.Bucket, key []byte, w write) error {
	if err := t.check(b, key); err != nil {
		return t.fail(err)
	}
	if !t.writable {
		return errReadOnly
	}
	r := row{b, string(key)}
	if old, ok := t.writes[r]; ok && !old.deleted {
		t.bytes -= len(key) + len(old.value)
	}
	t.writes[r] = w
	if !w.deleted {
		t.bytes += len(key) + len(w.value)
	}
	return t.limit()
}

// limit enforces what a distributed backend can do in one request.
func (t *tx) limit() error {
	if n := len(t.reads) + len(t.writes); n > store.MaxKeys {
		return t.fail(fmt.Errorf("%w: more than %d keys", store.ErrTooLarge, store.MaxKeys))
	}
	if t.bytes > store.MaxBytes {
		return t.fail(fmt.Errorf("%w: %d bytes put, allowed are %d", store.ErrTooLarge, t.bytes, store.MaxBytes))
	}
	return nil
}

// fail makes the transaction fail, whatever its function returns.
func (t *tx) fail(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

func (t *tx) check(b store.Bucket, key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("bolt: empty key in bucket %q", b)
	}
	if len(key) > bbolt.MaxKeySize {
		return fmt.Errorf("bolt: key of %d bytes in bucket %q; allowed are %d", len(key), b, bbolt.MaxKeySize)
	}
	return t.checkBucket(b)
}

func (t *tx) checkBucket(b store.Bucket) error {
	if t.ended {
		return errEnded
	}
	if b == "" || b[0] == 0 {
		return fmt.Errorf("bolt: %q is no name of a bucket", b)
	}
	return nil
}

// apply puts the writes into the bbolt transaction, in order of their keys, which
// is the order of its pages. Keys and sizes were checked: what fails here is the
// backend.
func (t *tx) apply() (err error) {
	defer t.rescue("bolt.apply", debug.SetPanicOnFault(true), &err)
	for _, r := range slices.SortedFunc(maps.Keys(t.writes), compareRows) {
		w := t.writes[r]
		bucket := t.b.Bucket([]byte(r.bucket))
		switch {
		case w.deleted && bucket == nil:
			continue
		case w.deleted:
			err = bucket.Delete([]byte(r.key))
		case bucket == nil:
			if bucket, err = t.b.CreateBucket([]byte(r.bucket)); err != nil {
				return unavailable("bolt.apply", err)
			}
			fallthrough
		default:
			err = bucket.Put([]byte(r.key), w.value)
		}
		if err != nil {
			return unavailable("bolt.apply", err)
		}
	}
	return nil
}

// rescue is the package's rescue for the transaction, which then fails whatever
// its function returns.
func (t *tx) rescue(op string, onFault bool, err *error) {
	debug.SetPanicOnFault(onFault)
	if p := recover(); p != nil {
		*err = t.fail(broken(anchore.Unavailable, op, t.file, p))
	}
}

// entry copies a key and its value into one piece of memory. Appending to the key
// does not reach the value.
func entry(key, value []byte) store.Entry {
	both := append(append(make([]byte, 0, len(key)+len(value)), key...), value...)
	return store.Entry{Key: both[:len(key):len(key)], Value: both[len(key):]}
}

// clone copies a value; the copy of an empty one is not nil.
func clone(p []byte) []byte { return append([]byte{}, p...) }
