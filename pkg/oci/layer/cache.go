// Package layer keeps layers of images that were fetched lately in a directory of
// bounded size.
package layer

import (
	"container/list"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cache keeps each layer in one file, named after the digest. A layer is handed out
// as a hard link, so that dropping it from the cache does not disturb who reads it.
// What was used least recently goes first. A Cache is safe for concurrent use, but
// its directory is for one Cache at a time.
type Cache struct {
	dir string
	max int64 // bytes

	mu      sync.Mutex
	size    int64
	byName  map[string]*list.Element // of *cached
	recent  *list.List               // most recent first
	loading map[string]chan struct{} // closed when that layer's fetch has ended
}

type cached struct {
	name string
	size int64
}

// partial marks files that were being fetched when the process ended.
const partial = ".partial"

// Open opens the cache in dir, which it makes if missing, and drops what is more
// than limit bytes and what was not fetched whole. Errors are those of the disk.
func Open(dir string, limit int64) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &Cache{dir: dir, max: limit, byName: map[string]*list.Element{}, recent: list.New(), loading: map[string]chan struct{}{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	type file struct {
		cached
		used time.Time
	}
	var files []file
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case strings.HasSuffix(e.Name(), partial):
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		case info.Mode().IsRegular():
			files = append(files, file{cached{e.Name(), info.Size()}, info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	for _, f := range files {
		c.keep(f.name, f.size)
	}
	return c, nil
}

// Get puts the layer of that digest and size, in bytes, at path: a link to what is
// cached, which is to be read only, or what fetch writes to the file it is given.
// What is at path already is replaced. fetch is to verify what it writes; of several
// callers that want the same layer, one fetches, and if that fails the next one
// does. A layer larger than the cache is fetched to path itself. Errors: those of
// fetch, of the disk, and of ctx for a caller that waits.
func (c *Cache) Get(ctx context.Context, digest string, size int64, path string, fetch func(to string) error) (hit bool, err error) {
	name := strings.ReplaceAll(digest, ":", "-")
	for {
		c.mu.Lock()
		if e, ok := c.byName[name]; ok {
			c.recent.MoveToFront(e)
			err := link(filepath.Join(c.dir, name), path)
			if err == nil {
				c.mu.Unlock()
				return true, nil
			}
			c.drop(e) // somebody removed the file, or it cannot be read: fetch it again
		}
		wait, busy := c.loading[name]
		if !busy {
			done := make(chan struct{})
			c.loading[name] = done
			c.mu.Unlock()
			err := c.load(name, size, path, fetch)
			c.mu.Lock()
			delete(c.loading, name)
			c.mu.Unlock()
			close(done)
			return false, err
		}
		c.mu.Unlock()
		select {
		case <-wait: // its fetch may have failed, with another account's credential: look again
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (c *Cache) load(name string, size int64, path string, fetch func(to string) error) error {
	if size > c.max {
		return fetch(path)
	}
	temp := filepath.Join(c.dir, name+partial)
	defer func() { _ = os.Remove(temp) }() // gone already if all went well
	if err := fetch(temp); err != nil {
		return err
	}
	if err := link(temp, path); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.Rename(temp, filepath.Join(c.dir, name)); err != nil {
		return err
	}
	c.keep(name, size)
	return nil
}

// keep notes a file of the cache and drops what is too much; the caller holds mu,
// or is alone.
func (c *Cache) keep(name string, size int64) {
	c.byName[name] = c.recent.PushFront(&cached{name, size})
	c.size += size
	for c.size > c.max {
		c.drop(c.recent.Back())
	}
}

func (c *Cache) drop(e *list.Element) {
	f := e.Value.(*cached)
	c.recent.Remove(e)
	delete(c.byName, f.name)
	c.size -= f.size
	_ = os.Remove(filepath.Join(c.dir, f.name)) // if it stays, the next start counts it again
}

// link makes a hard link, or a copy where the two are on different file systems.
func link(from, to string) (err error) {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
