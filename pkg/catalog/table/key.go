// Package table keeps typed rows in a store: the form of keys, the encoding of
// rows, and indexes declared as data. What a row means is the business of the
// packages that declare the tables.
package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Key is a key in the making: components that sort as their values do. Integers
// are big-endian and of fixed width. Texts end in a NUL, so that no text is a
// prefix of another; a NUL inside becomes 01 01, and 01 becomes 01 02.
type Key []byte

// Uint32 appends n.
func (k Key) Uint32(n uint32) Key { return binary.BigEndian.AppendUint32(k, n) }

// Uint64 appends n.
func (k Key) Uint64(n uint64) Key { return binary.BigEndian.AppendUint64(k, n) }

// Descending appends n so that larger values sort first. Negative ones, times before
// 1970, are last like 0.
func (k Key) Descending(n int64) Key { return k.Uint64(math.MaxUint64 - uint64(max(n, 0))) }

// Text appends s.
func (k Key) Text(s string) Key {
	for i := range len(s) {
		switch s[i] {
		case 0:
			k = append(k, 1, 1)
		case 1:
			k = append(k, 1, 2)
		default:
			k = append(k, s[i])
		}
	}
	return append(k, 0)
}

// errKey says that stored bytes are no key of the expected form: the store was
// damaged or written by something else.
var errKey = errors.New("table: malformed key")

// Reader takes a key apart. The first mistake is kept in Err.
type Reader struct {
	rest []byte
	err  error
}

// ReadKey begins to read key.
func ReadKey(key []byte) *Reader { return &Reader{rest: key} }

// Uint32 reads a number.
func (r *Reader) Uint32() uint32 {
	if len(r.rest) < 4 {
		r.err = errKey
		return 0
	}
	n := binary.BigEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return n
}

// Uint64 reads a number.
func (r *Reader) Uint64() uint64 {
	if len(r.rest) < 8 {
		r.err = errKey
		return 0
	}
	n := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return n
}

// Text reads a text.
func (r *Reader) Text() string {
	end := bytes.IndexByte(r.rest, 0)
	if end < 0 {
		r.err = errKey
		return ""
	}
	raw := r.rest[:end]
	r.rest = r.rest[end+1:]
	if bytes.IndexByte(raw, 1) < 0 {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == 1 {
			i++
			if i == len(raw) || raw[i] != 1 && raw[i] != 2 {
				r.err = errKey
				return ""
			}
			out = append(out, raw[i]-1)
			continue
		}
		out = append(out, raw[i])
	}
	return string(out)
}

// Err is the first mistake, also that bytes are left over.
func (r *Reader) Err() error {
	if r.err == nil && len(r.rest) > 0 {
		return errKey
	}
	return r.err
}

// Nanos is t as rows keep it: nanoseconds since 1970, 0 for the zero time. What is
// before 1677 or after 2262 is the first or the last of the times that there are.
func Nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Time is the reverse of Nanos, in UTC.
func Time(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
