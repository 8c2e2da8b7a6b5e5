// Package dir keeps blobs as files of one directory, named by their content. It
// is made for one engine on one disk; the store's lock keeps a second one away.
//
//	blobs/ab/abcdef…  a blob: the directory is the first byte of its SHA-256
//	blobs/tmp/…       blobs that are being written
package dir

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/disk"
)

const (
	algorithm = "sha256:"
	tmpName   = "tmp"
)

// Config says where the blobs are. Path is required.
type Config struct {
	Path string // the directory; it is created, for this user only
}

// Blobs is a store.Blobs in one directory. Its methods may be called from many
// goroutines.
type Blobs struct {
	path string
	mu   sync.Mutex // held while a blob gets its name, and while its age is looked at and it goes
}

var _ store.Blobs = (*Blobs)(nil)

// New opens the directory and removes what a killed process was writing. The
// caller holds the data directory (by the store's lock), so that no living one
// writes there.
func New(c Config) (*Blobs, error) {
	const op = "dir.New"
	path := cmp.Or(c.Path, ".")
	tmp := filepath.Join(path, tmpName)
	if err := os.RemoveAll(tmp); err != nil {
		return nil, disk.Failed(op, err)
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, disk.Failed(op, err)
	}
	// All folders now, so that no Put depends on another's fsync of a new one.
	for i := range 256 {
		err := os.Mkdir(filepath.Join(path, fmt.Sprintf("%02x", i)), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, disk.Failed(op, err)
		}
	}
	if err := errors.Join(disk.SyncFolder(path), disk.SyncFolder(filepath.Dir(path))); err != nil {
		return nil, disk.Failed(op, err)
	}
	return &Blobs{path: path}, nil
}

// Put stores what r gives; see store.Blobs. A failure of r is returned as it is.
func (b *Blobs) Put(ctx context.Context, r io.Reader) (store.Digest, error) {
	const op = "dir.Put"
	f, err := os.CreateTemp(filepath.Join(b.path, tmpName), "*")
	if err != nil {
		return "", disk.Failed(op, err)
	}
	defer func() { // without effect once it is closed and renamed
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	sum := sha256.New()
	w := &target{w: io.MultiWriter(f, sum)}
	if _, err := io.Copy(w, &source{ctx: ctx, r: r}); err != nil {
		if w.err != nil {
			return "", disk.Failed(op, w.err)
		}
		return "", err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return "", disk.Failed(op, err)
	}
	d := store.Digest(algorithm + hex.EncodeToString(sum.Sum(nil)))
	if err := b.keep(f.Name(), d); err != nil {
		return "", disk.Failed(op, err)
	}
	return d, nil
}

// keep gives a complete file its name. One that has the name already is replaced:
// the content is the same, unless the disk spoiled it, and the new file is young.
func (b *Blobs) keep(tmp string, d store.Digest) error {
	path, err := b.file(d)
	if err != nil {
		return err
	}
	b.mu.Lock()
	err = os.Rename(tmp, path)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return disk.SyncFolder(filepath.Dir(path))
}

// Open returns a blob's content, verified while it is read; see store.Blobs. A
// read that meets the end of the wrong content fails with kind Internal.
func (b *Blobs) Open(ctx context.Context, d store.Digest) (io.ReadCloser, error) {
	const op = "dir.Open"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := b.file(d)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: blob %s", store.ErrNotFound, d)
	case err != nil:
		return nil, disk.Failed(op, err)
	}
	return &verified{source: source{ctx: ctx, r: f}, file: f, want: d, sum: sha256.New()}, nil
}

// Delete removes a blob that is old enough; see store.Blobs. That it is gone may be
// lost in a power failure: then the next sweep finds it again.
func (b *Blobs) Delete(ctx context.Context, d store.Digest, minAge time.Duration) error {
	const op = "dir.Delete"
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := b.file(d)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	info, err := os.Stat(path)
	if err == nil && age(info) >= minAge {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.Failed(op, err)
	}
	return nil
}

// age is the time since a blob was put. A clock that was set back must not make it
// older than it is.
func age(info fs.FileInfo) time.Duration { return max(time.Since(info.ModTime()), 0) }

// List calls fn with each blob, in order of the digests. Blobs put or deleted
// meanwhile may be missing or not. An error of fn ends the list and is returned.
func (b *Blobs) List(ctx context.Context, fn func(store.BlobInfo) error) error {
	folders, err := os.ReadDir(b.path)
	if err != nil {
		return disk.Failed("dir.List", err)
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 || !folder.IsDir() {
			continue
		}
		if err := b.listFolder(ctx, folder.Name(), fn); err != nil {
			return err
		}
	}
	return nil
}

func (b *Blobs) listFolder(ctx context.Context, folder string, fn func(store.BlobInfo) error) error {
	files, err := os.ReadDir(filepath.Join(b.path, folder))
	if err != nil {
		return disk.Failed("dir.List", err)
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := store.Digest(algorithm + file.Name())
		if !valid(d) || !strings.HasPrefix(file.Name(), folder) {
			continue // not ours
		}
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return disk.Failed("dir.List", err)
		}
		if err := fn(store.BlobInfo{Digest: d, Size: info.Size(), Age: age(info)}); err != nil {
			return err
		}
	}
	return nil
}

// file is where a blob is kept. The digest comes from a row or a request, so it is
// checked before it becomes part of a path.
func (b *Blobs) file(d store.Digest) (string, error) {
	if !valid(d) {
		return "", anchore.E(anchore.Invalid, "dir.Blobs", "%q is no digest of a blob; it is sha256: and 64 hexadecimal digits", string(d))
	}
	name := string(d[len(algorithm):])
	return filepath.Join(b.path, name[:2], name), nil
}

func valid(d store.Digest) bool {
	name, ok := strings.CutPrefix(string(d), algorithm)
	return ok && len(name) == 2*sha256.Size && strings.Trim(name, "0123456789abcdef") == ""
}

// source stops giving when its context has ended.
type source struct {
	ctx context.Context
	r   io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// target remembers that it was the disk that failed, and not who gave the content.
type target struct {
	w   io.Writer
	err error
}

func (t *target) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.err = err
	return n, err
}

// verified reads a blob and fails in place of its end if the content is another.
type verified struct {
	source
	file io.Closer
	want store.Digest
	sum  hash.Hash
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.source.Read(p)
	v.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := algorithm + hex.EncodeToString(v.sum.Sum(nil)); got != string(v.want) {
			return n, anchore.E(anchore.Internal, "dir.Open", "blob %s is damaged: its content is %s", v.want, got)
		}
	}
	return n, err
}

func (v *verified) Close() error { return v.file.Close() }
