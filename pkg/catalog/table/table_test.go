package table

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"
)

func TestKeyOrder(t *testing.T) {
	ordered := []Key{
		Key{}.Uint32(1).Text("").Text("z"),
		Key{}.Uint32(1).Text("\x00"),
		Key{}.Uint32(1).Text("\x00a"),
		Key{}.Uint32(1).Text("\x01"),
		Key{}.Uint32(1).Text("a").Text("b"),
		Key{}.Uint32(1).Text("a\x01").Text("a"),
		Key{}.Uint32(1).Text("aa"),
		Key{}.Uint32(2).Descending(math.MaxInt64),
		Key{}.Uint32(2).Descending(7),
		Key{}.Uint32(2).Descending(0),
	}
	for i := 1; i < len(ordered); i++ {
		if bytes.Compare(ordered[i-1], ordered[i]) >= 0 {
			t.Errorf("key %d %x is not below key %d %x", i-1, ordered[i-1], i, ordered[i])
		}
	}
}

func TestDescendingEndsIn1970(t *testing.T) {
	last := Key{}.Descending(0)
	for _, n := range []int64{-1, math.MinInt64} {
		if got := (Key{}).Descending(n); !bytes.Equal(got, last) {
			t.Errorf("Descending(%d) = %x, want %x", n, got, last)
		}
	}
}

func TestNanosOfEveryTime(t *testing.T) {
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, test := range []struct {
		t    time.Time
		want int64
	}{
		{time.Time{}, 0},
		{year(1).Add(1), math.MinInt64},
		{year(1677), math.MinInt64},
		{time.Unix(0, math.MinInt64), math.MinInt64},
		{time.Unix(0, math.MinInt64+1), math.MinInt64 + 1},
		{time.Unix(-1, 0), -1e9},
		{year(2026), year(2026).UnixNano()},
		{time.Unix(0, math.MaxInt64-1), math.MaxInt64 - 1},
		{time.Unix(0, math.MaxInt64), math.MaxInt64},
		{year(2263), math.MaxInt64},
		{year(9999), math.MaxInt64},
	} {
		if got := Nanos(test.t); got != test.want {
			t.Errorf("Nanos(%v) = %d, want %d", test.t, got, test.want)
		}
	}
}

func FuzzKeyText(f *testing.F) {
	f.Add("docker.io/library/alpine:latest", "tag_update", uint64(3))
	f.Add("\x00\x01", "", uint64(0))
	f.Fuzz(func(t *testing.T, a, b string, n uint64) {
		key := Key{}.Text(a).Uint64(n).Text(b)
		r := ReadKey(key)
		if x, m, y := r.Text(), r.Uint64(), r.Text(); x != a || m != n || y != b || r.Err() != nil {
			t.Errorf("ReadKey(%x) = %q %d %q, %v; want %q %d %q", key, x, m, y, r.Err(), a, n, b)
		}
		if (a < b) != (bytes.Compare(Key{}.Text(a), Key{}.Text(b)) < 0) {
			t.Errorf("the keys of %q and %q do not sort as the texts", a, b)
		}
	})
}

func FuzzReadKey(f *testing.F) {
	f.Add([]byte("a\x00"))
	f.Add([]byte{1, 3, 0})
	f.Fuzz(func(t *testing.T, key []byte) {
		r := ReadKey(key)
		if s := r.Text(); r.Err() == nil && !bytes.Equal(Key{}.Text(s), key) {
			t.Errorf("ReadKey(%x) = %q, which is written %x", key, s, Key{}.Text(s))
		}
	})
}

func TestDecodeRefusesDamage(t *testing.T) {
	type row struct {
		Name string `cbor:"1,keyasint"`
	}
	good, err := Encode(row{Name: "alpine"})
	if err != nil {
		t.Fatal(err)
	}
	var back row
	if err := Decode(good, &back); err != nil || back.Name != "alpine" {
		t.Fatalf("Decode(Encode) = %+v, %v", back, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if err := Decode(bad, &back); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d changed: Decode = %v, want ErrDamaged", i, err)
		}
		if err := Decode(good[:i], &back); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: Decode = %v, want ErrDamaged", i, err)
		}
	}
}
