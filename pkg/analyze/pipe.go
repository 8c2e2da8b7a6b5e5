package analyze

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
)

// bounded takes a child's standard output into a file, and stops the child when
// it exceeds the limit. Only one goroutine of os/exec writes to it; its fields are
// read after the child was waited for.
type bounded struct {
	file     *os.File
	left     int64
	stop     func()
	exceeded bool
	err      error
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		b.exceeded = true
		b.stop()
		return 0, errors.New("analyze: the answer exceeds its limit")
	}
	n, err := b.file.Write(p)
	b.left -= int64(n)
	if err != nil {
		b.err = err
		b.stop()
	}
	return n, err
}

const (
	maxNote = 64 << 10 // longest line that can be a Note
	maxTail = 8 << 10  // what is kept of a crash's text, from its start
)

// noteReader takes a child's standard error: Notes, and what a crash prints.
// Like bounded it is written by one goroutine and read afterwards.
type noteReader struct {
	progress func(anchore.Step)
	line     []byte
	crash    []byte
	last     sbom.Note
	files    bool // the child is kept from all other files
}

func (r *noteReader) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		r.line = append(r.line, line[:min(len(line), maxNote-len(r.line))]...) // the rest of a line too long is dropped
		if ended {
			r.flush()
		}
		rest = after
	}
	return len(p), nil
}

// flush takes the line that was read so far.
func (r *noteReader) flush() {
	defer func() { r.line = r.line[:0] }()
	var note sbom.Note
	if len(r.line) == 0 {
		return
	}
	if r.line[0] != '{' || json.Unmarshal(r.line, &note) != nil {
		line := append(r.line, '\n')
		r.crash = append(r.crash, line[:min(len(line), maxTail-len(r.crash))]...)
		return
	}
	r.files = r.files || note.Files
	switch {
	case note.Failed != "":
		r.last = note
	case note.Step == anchore.Cataloging && r.progress != nil: // the only step that is a child's
		r.progress(note.Step)
	}
}

// tail is the text of a crash, for the log.
func (r *noteReader) tail() string { return strings.TrimSpace(string(r.crash)) }

// outOfMemory reports whether the text is what Go's runtime prints when the
// system gives it no more memory (runtime/mem_linux.go, malloc.go, os_linux.go), or
// the race detector's.
func (r *noteReader) outOfMemory() bool {
	for _, text := range []string{"out of memory", "cannot allocate memory", "failed to create new OS thread", "cannot allocate heap metadata", "Sanitizer failed to allocate"} {
		if bytes.Contains(r.crash, []byte(text)) {
			return true
		}
	}
	return false
}
