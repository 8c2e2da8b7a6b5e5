// Package sbomtest is the suite of the analyzer contract (analyze.Analyzer), and
// makes images to analyze. Tests alone import it.
package sbomtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

// Analyzer is analyze.Analyzer.
type Analyzer interface {
	Analyze(ctx context.Context, req sbom.Request) (sbom.Report, error)
}

// Fault is what goes wrong in an analysis, by the suite's order.
type Fault string

const (
	None        Fault = "none"
	Killed      Fault = "killed"        // a signal that the analyzer did not send
	OutOfMemory Fault = "out-of-memory" // more memory is asked for than allowed
	TooSlow     Fault = "too-slow"      // no end within the time allowed
	Crash       Fault = "crash"         // a panic, a non-zero exit
	Garbage     Fault = "garbage"       // an answer that is no document
	Truncated   Fault = "truncated"     // half a document
	TooLarge    Fault = "too-large"     // an answer without end
)

// Run checks an implementation. The function returns one that suffers from the
// given fault in each analysis, with limits of a few seconds.
func Run(t *testing.T, with func(t *testing.T, f Fault) Analyzer) {
	t.Run("good image", func(t *testing.T) { good(t, with(t, None)) })
	t.Run("several at once", func(t *testing.T) { several(t, with(t, None)) })
	t.Run("stopped", func(t *testing.T) { stopped(t, with(t, TooSlow)) })
	faults := []struct {
		fault Fault
		kind  anchore.Kind
		says  string
	}{
		{Killed, anchore.Unavailable, "killed"},
		{OutOfMemory, anchore.Invalid, "more memory than its limit"},
		{TooSlow, anchore.Invalid, "longer than its limit"},
		{Crash, anchore.Internal, "crashed"},
		{Garbage, anchore.Internal, "no readable document"},
		{Truncated, anchore.Internal, "no readable document"},
		{TooLarge, anchore.Invalid, "larger than the limit"},
	}
	for _, f := range faults {
		t.Run(string(f.fault), func(t *testing.T) {
			req := newRequest(t)
			_, err := with(t, f.fault).Analyze(t.Context(), req)
			check(t, err, f.kind, f.says)
			gone(t, req)
		})
	}
}

func good(t *testing.T, a Analyzer) {
	req := newRequest(t)
	var step atomic.Value
	req.Progress = func(s anchore.Step) { step.Store(s) }
	report, err := a.Analyze(t.Context(), req)
	if err != nil {
		t.Fatalf("Analyze(good image): %v", err)
	}
	if !strings.HasPrefix(report.Document, req.Work+string(filepath.Separator)) {
		t.Errorf("the document is %s, outside of Work %s", report.Document, req.Work)
	}
	f, err := os.Open(report.Document)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	summary, err := sbom.Summary(f)
	if err != nil {
		t.Fatalf("Summary(document): %v", err)
	}
	if diff := cmp.Diff(summary, report.Summary); diff != "" {
		t.Errorf("Report.Summary is not the document's (-document +report):\n%s", diff)
	}
	if summary.Distro != "debian" || summary.DistroVersion != "12" || summary.Packages != 5 {
		t.Errorf("Summary(document) = %+v, want debian 12 with 5 packages", summary)
	}
	if step.Load() != anchore.Cataloging {
		t.Errorf("Progress was told %v, want %q", step.Load(), anchore.Cataloging)
	}
	gone(t, req)
}

func several(t *testing.T, a Analyzer) {
	errs := make(chan error)
	for range 3 {
		req := newRequest(t)
		go func() { _, err := a.Analyze(t.Context(), req); errs <- err }()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func stopped(t *testing.T, a Analyzer) {
	req := newRequest(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req.Progress = func(anchore.Step) { cancel() }
	begin := time.Now()
	_, err := a.Analyze(ctx, req)
	check(t, err, anchore.Unavailable, "stopped")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("Analyze returned %v after its context ended", took)
	}
	gone(t, req)
}

func check(t *testing.T, err error, kind anchore.Kind, says string) {
	t.Helper()
	var e *anchore.Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, says) {
		t.Fatalf("Analyze: error %v (%v), want kind %v and a message with %q", err, anchore.KindOf(err), kind, says)
	}
	if strings.ContainsAny(e.Message, "/\n") || len(e.Message) > 200 {
		t.Errorf("message %q: want one short sentence without paths", e.Message)
	}
}

// gone checks that Work holds no temporary file, and that what is removed stays so.
func gone(t *testing.T, req sbom.Request) {
	t.Helper()
	entries, err := os.ReadDir(req.Work)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 1 { // the document
		t.Errorf("Analyze left %v in Work", entries)
	}
	if err := os.RemoveAll(req.Work); err != nil {
		t.Errorf("Work cannot be removed: %v", err)
	}
}

func newRequest(t *testing.T) sbom.Request {
	t.Helper()
	layout, digest := WriteLayout(t, Debian()...)
	return sbom.Request{Layout: layout, Digest: digest, Name: "registry.example.test/debian:12", Work: t.TempDir()}
}
