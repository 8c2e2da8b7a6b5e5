package syft

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

// Exit codes of an analysis child.
const (
	exitFailed  = 1 // the last Note says why
	exitRequest = 2 // the request was not understood: a defect of the parent
	exitOrphan  = 3 // the parent is gone
)

// maxRequest bounds the request line, in bytes.
const maxRequest = 1 << 20

// diskCheck is how often the size of the temporary files is looked at: a disk
// fills by a few hundred megabytes a second at most.
const diskCheck = 500 * time.Millisecond

// ChildMain is the main function of an analysis child, and returns its exit code.
// It reads one sbom.ChildRequest, limits itself, writes the document to stdout
// and sbom.Note lines to stderr. The end of stdin ends the process: the parent
// keeps it open while it lives.
func ChildMain(stdin io.Reader, stdout, stderr io.Writer) int {
	notes := &notes{enc: json.NewEncoder(stderr)}
	in := bufio.NewReaderSize(stdin, 4096)
	var req sbom.ChildRequest
	dec := json.NewDecoder(io.LimitReader(in, maxRequest))
	if err := dec.Decode(&req); err != nil {
		notes.failed("the request was not understood", err)
		return exitRequest
	}
	if err := limit(req); err != nil {
		notes.failed("the child could not limit itself", err)
		return exitRequest
	}
	confined, err := confineFiles(req.Layout, req.Temp)
	if err != nil {
		notes.failed("the image could not be read", err)
		return exitFailed
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(exitOrphan)
	}()
	if req.Disk > 0 {
		go watchDisk(req, notes)
	}
	notes.write(sbom.Note{Step: anchore.Cataloging, Files: confined})
	out := bufio.NewWriterSize(stdout, 1<<16)
	err = protected(func() error {
		if req.Convert != "" {
			return convert(req, out)
		}
		return analyze(context.Background(), req, out)
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		notes.failed(message(err), err)
		return exitFailed
	}
	return 0
}

// limit bounds memory and the size of single files, and moves temporary files to
// where the parent removes them. The data segment is limited, not the address
// space: Go reserves far more of that than it uses. The collector's limit lies
// below, so that it works harder before the process dies.
func limit(req sbom.ChildRequest) error {
	if req.Temp != "" {
		if err := os.Setenv("TMPDIR", req.Temp); err != nil {
			return err
		}
	}
	if req.Memory > 0 {
		debug.SetMemoryLimit(req.Memory / 4 * 3)
		n := uint64(req.Memory)
		if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit the data segment: %w", err)
		}
	}
	if req.Disk > 0 {
		n := uint64(req.Disk)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit the size of files: %w", err)
		}
	}
	// The engine goes first wherever the two compete; neither is worth failing for.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	// No core file of a crash: it would hold what the image holds.
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// watchDisk ends the process when its temporary files exceed the limit together.
func watchDisk(req sbom.ChildRequest, notes *notes) {
	for range time.Tick(diskCheck) {
		var size int64
		_ = filepath.WalkDir(req.Temp, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // removed meanwhile
			}
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				size += info.Size()
			}
			return nil
		})
		if size > req.Disk {
			notes.failed("the image unpacks to more than the limit of temporary files", fmt.Errorf("%d bytes, the limit is %d", size, req.Disk))
			os.Exit(exitFailed)
		}
	}
}

// protected turns a panic in a cataloger into an error with its place.
func protected(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = anchore.E(anchore.Internal, op, "the analysis crashed").Because(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	return fn()
}

// message is the sentence for the user. An Internal error's own message is shown
// here, where it was set for that purpose.
func message(err error) string {
	if e, ok := err.(*anchore.Error); ok {
		return e.Message
	}
	return "the document could not be written"
}

// notes writes Notes from any goroutine, each in one write.
type notes struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (n *notes) failed(why string, cause error) {
	n.write(sbom.Note{Failed: why, Again: anchore.KindOf(cause) == anchore.Unavailable, Cause: cause.Error()})
}

func (n *notes) write(note sbom.Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.enc.Encode(note) // a parent that no longer reads has ended us
}
