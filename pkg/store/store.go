// Package store is the storage contract of the engine: ordered keys in named
// buckets, read and written in transactions, and blobs named by their content.
// store/bolt is the embedded backend; storetest and blobtest are the suites that
// every implementation passes. The contract is written for the stricter kind of
// backend (a distributed one such as etcd), so nothing may rely on more than it
// says.
package store

import (
	"context"
	"errors"
	"io"
	"time"
)

// Limits of one Update. They are what etcd allows in one request.
const (
	MaxKeys  = 100     // keys read (by Scan too) plus written
	MaxBytes = 1 << 20 // sum of keys and values put
	MaxPage  = 500     // entries that one Scan returns
)

var (
	// ErrNotFound says that a key, or a blob, does not exist.
	ErrNotFound = errors.New("store: not found")
	// ErrTooLarge says that an Update exceeded MaxKeys or MaxBytes. It is a
	// defect of the caller, not of its input.
	ErrTooLarge = errors.New("store: transaction too large")
	// ErrFailing is in the chain of each error of a backend that cannot serve: the
	// disk is full, the store is closed. What else is Unavailable was not its fault.
	ErrFailing = errors.New("store: the backend cannot serve")
)

// Failing makes err, with which a backend cannot serve, one that is ErrFailing too.
func Failing(err error) error { return failing{err} }

type failing struct{ error }

func (f failing) Unwrap() []error { return []error{f.error, ErrFailing} }

// Bucket names an ordered set of keys. Buckets need no creation; one that was
// never written is empty.
type Bucket string

// Store keeps ordered keys in named buckets. Its methods may be called from many
// goroutines, but not from inside fn: a transaction inside a transaction can
// deadlock.
//
// Besides what fn returns, both methods return an *anchore.Error of kind
// Unavailable, and ErrFailing, when the backend cannot serve (disk full, closed), and the error of
// ctx if it ended before the transaction began.
type Store interface {
	// View runs fn on one snapshot. It should end in milliseconds: no I/O, no
	// channel, no lock held by a writer. Read a page, return, do the work.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn and commits what it wrote, or nothing if fn fails or panics.
	// Updates are serializable, and durable when Update returns nil. fn may run
	// more than once: it changes nothing but the Tx, and variables it sets outside
	// are valid only once Update returned nil. An fn that writes nothing commits
	// nothing: it costs no write.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close waits for transactions that run and releases the store.
	Close() error
}

// Tx is one transaction, valid until its function returns and for one goroutine.
// Slices passed in and handed out belong to the caller. Keys are not empty.
type Tx interface {
	// Get returns the value of key, or ErrNotFound; an empty value is not missing.
	Get(b Bucket, key []byte) ([]byte, error)
	// Put sets the value of key; twice in one transaction, the last wins. In a
	// View it fails.
	Put(b Bucket, key, value []byte) error
	// Delete removes key; an absent one is no error. In a View it fails.
	Delete(b Bucket, key []byte) error
	// Scan returns the entries of r in bytewise order of their keys, the
	// transaction's own writes included.
	Scan(b Bucket, r Range) ([]Entry, error)
}

// Range selects keys: those with Prefix, from Start on (inclusive; nil is the
// first), at most Limit of them (1 to MaxPage; 0 is MaxPage).
type Range struct {
	Prefix []byte
	Start  []byte
	Limit  int
}

// Entry is one key with its value.
type Entry struct {
	Key, Value []byte
}

// Digest names a blob by its content: "sha256:" and 64 hexadecimal digits.
type Digest string

// Blobs keeps documents too large for the store, named by their content. Its
// methods may be called from many goroutines. When the backend cannot serve, their
// errors are those of a Store.
type Blobs interface {
	// Put stores what r gives and returns its name. The blob is durable when Put
	// returns, so a transaction may refer to it. The same content twice is one
	// blob, and its age begins anew.
	Put(ctx context.Context, r io.Reader) (Digest, error)
	// Open returns the blob's content, verified while it is read: the reader
	// fails at the end if the content is not what the name says. ErrNotFound.
	Open(ctx context.Context, d Digest) (io.ReadCloser, error)
	// Delete removes a blob that was last put minAge ago or earlier; a younger or
	// absent one is no error. The age is looked at together with the removal: a
	// blob that is put again meanwhile stays.
	Delete(ctx context.Context, d Digest, minAge time.Duration) error
	// List calls fn with each blob and the time since it was last put. A sweep
	// deletes what no row refers to and is older than any time from a Put to the
	// transaction that refers to it.
	List(ctx context.Context, fn func(BlobInfo) error) error
}

// BlobInfo describes one blob.
type BlobInfo struct {
	Digest Digest
	Size   int64
	Age    time.Duration
}
