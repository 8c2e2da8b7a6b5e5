package bolt_test

import (
	"encoding/binary"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

// raw opens bbolt itself, as Open does, for comparison.
func raw(b *testing.B) *bbolt.DB {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600,
		&bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// writers are the ways to write one row; each benchmark runs all of them.
func writers(b *testing.B) map[string]func(key, value []byte) error {
	s, db := open(b, bolt.Config{}), raw(b)
	into := func(key, value []byte) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			rows, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err != nil {
				return err
			}
			return rows.Put(key, value)
		}
	}
	return map[string]func(key, value []byte) error{
		"store": func(key, value []byte) error {
			return s.Update(b.Context(), func(tx store.Tx) error { return tx.Put(bucket, key, value) })
		},
		"bbolt.Update": func(key, value []byte) error { return db.Update(into(key, value)) },
		"bbolt.Batch":  func(key, value []byte) error { return db.Batch(into(key, value)) },
	}
}

// BenchmarkLoneUpdate is the time one caller waits for one row to be durable.
func BenchmarkLoneUpdate(b *testing.B) { benchmarkUpdates(b, 1) }

// Benchmark128Updates is the time for each row when 128 callers write at once.
func Benchmark128Updates(b *testing.B) { benchmarkUpdates(b, 128) }

func benchmarkUpdates(b *testing.B, callers int) {
	value := make([]byte, 200)
	for name, write := range writers(b) {
		b.Run(name, func(b *testing.B) {
			var n atomic.Int64
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if err := write(binary.BigEndian.AppendUint64(nil, uint64(i)*0x9e3779b97f4a7c15), value); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkScanPage reads pages of 100 rows out of 10,000.
func BenchmarkScanPage(b *testing.B) {
	s := open(b, bolt.Config{})
	const rows, page = 10_000, 100
	for from := 0; from < rows; from += page {
		err := s.Update(b.Context(), func(tx store.Tx) error {
			for i := from; i < from+page; i++ {
				if err := tx.Put(bucket, binary.BigEndian.AppendUint64(nil, uint64(i)), make([]byte, 200)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		start := binary.BigEndian.AppendUint64(nil, uint64(i*page%rows))
		err := s.View(b.Context(), func(tx store.Tx) error {
			got, err := tx.Scan(bucket, store.Range{Start: start, Limit: page})
			if len(got) != page {
				b.Fatalf("a page of %d", len(got))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
