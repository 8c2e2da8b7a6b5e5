// Package disk has what keeps files over a power failure, and the error of a disk that
// does not.
package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
)

// Replace writes the file at path, for this user only, in one step: after a crash it is
// the old one, or there is none, or it is complete. It is durable when Replace returns.
// Errors are those of the file system.
func Replace(path string, content []byte) (err error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one that matters
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncFolder(folder)
}

// SyncFolder makes the names in a directory durable: to sync a file does not.
func SyncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Failed is the error of a store for what the disk said.
func Failed(op string, err error) *anchore.Error {
	text := "the data directory cannot be read or written; the engine's log has the cause"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		text = "the disk of the data directory is full"
	}
	return anchore.E(anchore.Unavailable, op, "%s", text).Because(store.Failing(err))
}
