package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/disk"
)

func TestReplace(t *testing.T) {
	folder := t.TempDir()
	path, before := filepath.Join(folder, "file"), filepath.Join(folder, "before")
	for _, text := range []string{"old", "new"} {
		if err := disk.Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("the file has %q, %v; want %q", got, err, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file's mode is %v, %v; want 0600", info.Mode(), err)
		}
		if text == "old" {
			if err := os.Link(path, before); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := os.ReadFile(before); err != nil || string(got) != "old" {
		t.Errorf("the file that was replaced has %q, %v; want it untouched", got, err)
	}
	if err := os.Mkdir(filepath.Join(folder, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Replace(filepath.Join(folder, "taken"), nil); err == nil {
		t.Error("a directory was replaced")
	}
	if err := disk.Replace(filepath.Join(folder, "none", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Replace in no directory = %v", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"before", "file", "taken"}, names); diff != "" {
		t.Errorf("left in the directory (-want +got):\n%s", diff)
	}
}

func TestFailed(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: "the disk of the data directory is full",
		syscall.EDQUOT: "the disk of the data directory is full",
		syscall.EIO:    "the data directory cannot be read or written; the engine's log has the cause",
	} {
		got := disk.Failed("test", err)
		if got.Kind != anchore.Unavailable || got.Message != want || !errors.Is(got, store.ErrFailing) || !errors.Is(got, err) {
			t.Errorf("Failed(%v) = %v, want %q, unavailable, and that the store fails", err, got, want)
		}
	}
}
