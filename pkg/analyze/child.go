package analyze

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

// AnalyzeChild is the argument with which the engine's own binary is started as
// an analysis child. Its main function then calls sbom/syft's ChildMain before
// anything else: no configuration, no store.
const AnalyzeChild = "analyze-child"

const (
	defaultTimeout  = 30 * time.Minute
	defaultDocument = 512 << 20
	defaultDisk     = 64 << 30
	pipeGrace       = 5 * time.Second // how long a dead child's pipes may stay open
)

// ChildConfig configures a Child. The zero value is usable.
type ChildConfig struct {
	Command  []string      // program and arguments; default: this program with AnalyzeChild
	Timeout  time.Duration // of one analysis; default 30 minutes
	Memory   int64         // limit of a child's data segment in bytes; default: see Children
	Children int           // how many run at once, at most: they share three quarters of the container's memory, 4 GiB each at most
	Disk     int64         // limit of a child's temporary files in bytes; default 64 GiB
	Document int64         // limit of a document's size in bytes; default 512 MiB
	Version  string        // the engine's, as documents name their maker
	Logger   *slog.Logger  // default: discards
}

// Child is the Analyzer that runs each analysis in a child process: in its own
// user and network namespace where the system permits it, without the engine's
// environment, with limits on memory, time, temporary files and answer.
type Child struct {
	cfg      ChildConfig
	confined atomic.Pointer[string] // why there are no namespaces, nil if there are
	files    atomic.Bool            // a child said that the kernel keeps it from all other files
}

// NewChild makes a Child and looks whether the system permits namespaces.
func NewChild(cfg ChildConfig) (*Child, error) {
	if len(cfg.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, anchore.E(anchore.Internal, "analyze.NewChild", "the engine's own program file is not known").Because(err)
		}
		cfg.Command = []string{self, AnalyzeChild}
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.Memory = cmp.Or(cfg.Memory, defaultMemory("/", cfg.Children))
	cfg.Disk = cmp.Or(cfg.Disk, defaultDisk)
	cfg.Document = cmp.Or(cfg.Document, defaultDocument)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Child{cfg: cfg}
	if err := probeNamespaces(); err != nil {
		c.unconfined(err)
	}
	return c, nil
}

// Isolation says, for the system's status, what separates a child from the
// engine beside the process and its limits. Whether the kernel also keeps it from
// files is known once a child has run.
func (c *Child) Isolation() string {
	files := ""
	if c.files.Load() {
		files = ", file system"
	}
	if why := c.confined.Load(); why != nil {
		return "process" + files + "; the system permits no user and network namespace (" + *why + ")"
	}
	return "process, user namespace, network namespace" + files
}

// Memory returns the limit of one child's data segment, in bytes.
func (c *Child) Memory() int64 { return c.cfg.Memory }

func (c *Child) unconfined(err error) {
	why := err.Error()
	if c.confined.Swap(&why) == nil {
		c.cfg.Logger.Warn("analyses run without their own user and network namespace", "error", why)
	}
}

// errTooSlow is the cause with which a child's context ends at its limit.
var errTooSlow = errors.New("analyze: the analysis took too long")

// Analyze implements Analyzer.
func (c *Child) Analyze(ctx context.Context, req sbom.Request) (sbom.Report, error) {
	const name = "document.json"
	document, err := c.answer(ctx, sbom.ChildRequest{Layout: req.Layout, Digest: req.Digest, Name: req.Name, Version: c.cfg.Version}, req.Work, name, req.Progress)
	if err != nil {
		return sbom.Report{}, err
	}
	defer document.Close()
	summary, err := sbom.Summary(document)
	if err != nil {
		return sbom.Report{}, anchore.E(anchore.Internal, "analyze.Child", "the analysis gave no readable document").Because(err)
	}
	return sbom.Report{Document: filepath.Join(req.Work, name), Summary: summary}, nil
}

// answer runs a child and returns its answer, a file of the given name in work that
// stands at its start.
func (c *Child) answer(ctx context.Context, req sbom.ChildRequest, work, name string, progress func(anchore.Step)) (_ *os.File, err error) {
	req.Temp, req.Memory, req.Disk = filepath.Join(work, "tmp"), c.cfg.Memory, c.cfg.Disk
	if err := os.MkdirAll(req.Temp, 0o700); err != nil {
		return nil, anchore.E(anchore.Unavailable, "analyze.Child", "the directory for temporary files cannot be written").Because(err)
	}
	defer os.RemoveAll(req.Temp)
	document, err := os.OpenFile(filepath.Join(work, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, anchore.E(anchore.Unavailable, "analyze.Child", "the directory for temporary files cannot be written").Because(err)
	}
	defer func() {
		if err != nil {
			document.Close()
		}
	}()

	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errTooSlow)
	defer cancel()
	run := &childRun{
		answer: bounded{file: document, left: c.cfg.Document, stop: cancel},
		notes:  noteReader{progress: progress},
	}
	if err := c.run(limited, run, req); err != nil {
		return nil, anchore.E(anchore.Unavailable, "analyze.Child", "the analysis process could not be started").Because(err)
	}
	if run.notes.files {
		c.files.Store(true)
	}
	if err := c.verdict(ctx, context.Cause(limited), run); err != nil {
		return nil, err
	}
	if _, err := document.Seek(0, 0); err != nil {
		return nil, anchore.E(anchore.Unavailable, "analyze.Child", "the document cannot be read").Because(err)
	}
	return document, nil
}

// childRun is one run of a child.
type childRun struct {
	answer bounded
	notes  noteReader
	ended  atomic.Bool // the process number may be another's from now on
	state  *os.ProcessState
	err    error // of the pipes; that the child failed is in state
}

// run starts a child, and returns when it and its process group are gone. Its
// error says that no child could be started.
func (c *Child) run(ctx context.Context, run *childRun, req sbom.ChildRequest) error {
	line, err := json.Marshal(req)
	if err != nil {
		return err
	}
	// The parent-death signal comes when the thread that started the child ends,
	// so that thread stays with this goroutine while the child runs.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, stdin, err := c.start(ctx, run, req.Temp)
	if err != nil {
		return err
	}
	defer stdin.Close()
	_, _ = stdin.Write(append(line, '\n')) // a child that is gone already is seen below
	leader := cmd.Process.Pid
	awaitExit(leader)
	_ = syscall.Kill(-leader, syscall.SIGKILL) // safe: not reaped yet, so the number is still this group's
	run.ended.Store(true)
	run.err = cmd.Wait()
	run.state = cmd.ProcessState
	run.notes.flush()
	return nil
}

// start starts a child with namespaces, or without them where the system turns
// out not to permit them.
func (c *Child) start(ctx context.Context, run *childRun, temp string) (*exec.Cmd, io.WriteCloser, error) {
	for {
		confined := c.confined.Load() == nil
		cmd := exec.CommandContext(ctx, c.cfg.Command[0], c.cfg.Command[1:]...)
		cmd.Env = []string{"TMPDIR=" + temp, "HOME=" + temp, "PATH=/usr/bin:/bin"}
		cmd.Dir = temp
		cmd.Stdout, cmd.Stderr = &run.answer, &run.notes
		cmd.SysProcAttr = attributes(confined)
		cmd.WaitDelay = pipeGrace
		cmd.Cancel = func() error {
			if run.ended.Load() {
				return os.ErrProcessDone
			}
			return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, nil, err
		}
		err = cmd.Start()
		if err == nil {
			return cmd, stdin, nil
		}
		stdin.Close()
		if !confined || ctx.Err() != nil || !refusesNamespaces(err) {
			return nil, nil, err
		}
		c.unconfined(err)
	}
}

// verdict explains how a child ended: nil if it says that it has succeeded.
func (c *Child) verdict(ctx context.Context, stopped error, run *childRun) error {
	const op = "analyze.Child"
	cause := fmt.Errorf("%v: %s", run.state, run.notes.tail())
	switch status, _ := run.state.Sys().(syscall.WaitStatus); {
	case ctx.Err() != nil:
		return anchore.E(anchore.Unavailable, op, "the analysis was stopped").Because(context.Cause(ctx))
	case run.answer.exceeded:
		return anchore.E(anchore.Invalid, op, "the list of the image's contents is larger than the limit of %s", size(c.cfg.Document))
	case run.answer.err != nil:
		return anchore.E(anchore.Unavailable, op, "the document could not be stored").Because(run.answer.err)
	case errors.Is(stopped, errTooSlow):
		return anchore.E(anchore.Invalid, op, "the analysis took longer than its limit of %v", c.cfg.Timeout)
	case run.notes.last.Failed != "":
		kind := anchore.Invalid
		if run.notes.last.Again {
			kind = anchore.Unavailable
		}
		return anchore.E(kind, op, "%.300s", run.notes.last.Failed).Because(errors.New(run.notes.last.Cause))
	case run.notes.outOfMemory():
		return anchore.E(anchore.Invalid, op, "the analysis needs more memory than its limit of %s", size(c.cfg.Memory)).Because(cause)
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return anchore.E(anchore.Unavailable, op, "the analysis process was killed, perhaps because the system is short of memory").Because(cause)
	case !run.state.Success():
		return anchore.E(anchore.Internal, op, "the analysis crashed").Because(cause)
	case run.err != nil:
		return anchore.E(anchore.Unavailable, op, "the analysis process was lost").Because(run.err)
	}
	return nil
}

// size is a limit for the user: "512 MiB".
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
