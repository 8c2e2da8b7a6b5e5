package syft_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/anchore/anchore-engine/pkg/analyze"
	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/sbom/sbomtest"
	"github.com/anchore/anchore-engine/pkg/sbom/syft"
)

// TestMain lets this test binary be the analysis child, with a fault of the
// suite's where its second argument names one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == analyze.AnalyzeChild {
		os.Exit(child(sbomtest.Fault(os.Args[2])))
	}
	os.Exit(m.Run())
}

func child(f sbomtest.Fault) int {
	switch f {
	case sbomtest.Killed:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case sbomtest.Crash:
		panic("a fault")
	case sbomtest.Garbage:
		fmt.Println("[]")
		return 0
	case "peek":
		return peek()
	case sbomtest.TooSlow:
		defer time.Sleep(time.Minute)
	case sbomtest.Truncated:
		var doc bytes.Buffer
		code := syft.ChildMain(os.Stdin, &doc, os.Stderr)
		_, _ = os.Stdout.Write(doc.Bytes()[:doc.Len()/2])
		return code
	}
	return syft.ChildMain(os.Stdin, os.Stdout, os.Stderr)
}

// newChild has limits that make the real child suffer from f where they can.
func newChild(t testing.TB, f sbomtest.Fault) *analyze.Child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := analyze.ChildConfig{Command: []string{self, analyze.AnalyzeChild, string(f)}, Memory: 1 << 30, Timeout: time.Minute}
	switch f {
	case sbomtest.OutOfMemory:
		cfg.Memory = 40 << 20
	case sbomtest.TooSlow:
		cfg.Timeout = 3 * time.Second
	case sbomtest.TooLarge:
		cfg.Document = 1000
	}
	c, err := analyze.NewChild(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChild(t *testing.T) {
	sbomtest.Run(t, func(t *testing.T, f sbomtest.Fault) sbomtest.Analyzer { return newChild(t, f) })
}

// peek is a child that, once it is confined, tries what a hostile one would: it
// answers in place of a distribution what it could do.
func peek() int {
	var could []string
	done := make(chan int)
	r, w := io.Pipe()
	go func() { done <- syft.ChildMain(os.Stdin, io.Discard, w) }()
	_, _ = bufio.NewReader(r).ReadString('\n') // the step: confined from here on
	go func() { _, _ = io.Copy(io.Discard, r) }()
	<-done
	if _, err := os.ReadFile("/etc/passwd"); err == nil {
		could = append(could, "read")
	}
	if err := os.WriteFile("../outside", nil, 0o600); err == nil {
		could = append(could, "write")
	}
	if err := os.WriteFile("inside", nil, 0o600); err != nil {
		could = append(could, "not even its own directory")
	}
	if err := syscall.Kill(os.Getppid(), 0); err == nil {
		could = append(could, "signal")
	}
	fmt.Printf(`{"artifacts":[],"source":{},"distro":{"id":%q}}`, strings.Join(could, ", "))
	return 0
}

func TestChildReachesNoFiles(t *testing.T) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	layout, digest := sbomtest.WriteLayout(t, sbomtest.Debian()...)
	c := newChild(t, "peek")
	report, err := c.Analyze(t.Context(), sbom.Request{Layout: layout, Digest: digest, Work: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if errno == 0 && abi >= 6 && report.Summary.Distro != "" { // an older kernel forbids less, or nothing
		t.Errorf("the child could %s", report.Summary.Distro)
	}
	c = newChild(t, sbomtest.None)
	if _, err := c.Analyze(t.Context(), sbom.Request{Layout: layout, Digest: digest, Work: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Contains(c.Isolation(), "file system"), errno == 0; got != want {
		t.Errorf("Isolation() = %q, want the file system named: %v", c.Isolation(), want)
	}
}

func document(t *testing.T, layout, digest string) *os.File {
	t.Helper()
	report, err := newChild(t, sbomtest.None).Analyze(t.Context(), sbom.Request{Layout: layout, Digest: digest, Name: "example.test/a", Work: t.TempDir()})
	if err != nil {
		t.Fatalf("Analyze: %v", err)
	}
	f, err := os.Open(report.Document)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// content decodes the entries that a document has of a type.
func content[T any](t *testing.T, doc io.Reader, ctype string) []T {
	t.Helper()
	texts, err := sbom.Content(doc, ctype)
	if err != nil {
		t.Fatalf("Content(%s): %v", ctype, err)
	}
	list := make([]T, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal(text, &list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func TestContent(t *testing.T) {
	layout, digest := sbomtest.WriteLayout(t, sbomtest.Debian()...)
	doc := document(t, layout, digest)
	packages := func(ctype string) []sbom.Package {
		if _, err := doc.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		entries := content[sbom.Package](t, doc, ctype)
		for i := range entries {
			entries[i].CPEs = nil // syft's guesses, which change with its versions
		}
		return entries
	}
	const team = "Team <team@example.test>"
	os := []sbom.Package{
		{Package: "bash", Version: "5.2.15-2+b2", Type: "dpkg", Size: "7335936", Origin: team, License: "GPL-3+", Licenses: []string{"GPL-3+"}, SourcePkg: "bash-5.2.15-2"},
		{Package: "libc6", Version: "2.36-9+deb12u4", Type: "dpkg", Size: "7335936", Origin: team, License: "LGPL-2.1", Licenses: []string{"LGPL-2.1"}, SourcePkg: "glibc-2.36-9+deb12u4"},
		{Package: "zlib1g", Version: "1:1.2.13.dfsg-1", Type: "dpkg", Size: "7335936", Origin: team, License: "Zlib", Licenses: []string{"Zlib"}, SourcePkg: "zlib-1:1.2.13.dfsg-1"},
	}
	if diff := cmp.Diff(os, packages("os")); diff != "" {
		t.Errorf("content os (-want +got):\n%s", diff)
	}
	npm := []sbom.Package{{
		Package: "left-pad", Version: "1.3.0", Type: "NPM", Origin: "A. Zer <az@example.test>", License: "WTFPL",
		Licenses: []string{"WTFPL"}, Location: "/usr/lib/node_modules/left-pad/package.json",
	}}
	if diff := cmp.Diff(npm, packages("npm")); diff != "" {
		t.Errorf("content npm (-want +got):\n%s", diff)
	}
	python := []sbom.Package{{
		Package: "requests", Version: "2.31.0", Type: "PYTHON", Origin: "K. Reitz <me@example.test>", License: "Apache 2.0",
		Licenses: []string{"Apache 2.0"}, Location: "/usr/lib/python3/dist-packages",
	}}
	if diff := cmp.Diff(python, packages("python")); diff != "" {
		t.Errorf("content python (-want +got):\n%s", diff)
	}
}

func TestFiles(t *testing.T) {
	layout, digest := sbomtest.WriteTars(t, func(w io.Writer) {
		out := tar.NewWriter(w)
		for _, h := range []tar.Header{
			{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
			{Name: "etc/motd", Mode: 0o640, Size: 5, Uid: 1, Gid: 2},
			{Name: "etc/link", Typeflag: tar.TypeSymlink, Linkname: "motd", Mode: 0o777},
		} {
			if err := out.WriteHeader(&h); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(out, "hello"[:h.Size])
		}
		out.Close()
	})
	got := content[sbom.File](t, document(t, layout, digest), "files")
	sum, dest := "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "motd"
	want := []sbom.File{
		{Filename: "/etc", Type: "dir", Mode: "00755"},
		{Filename: "/etc/link", Type: "slink", Mode: "00777", LinkDest: &dest},
		{Filename: "/etc/motd", Type: "file", Size: 5, Mode: "00640", UID: 1, GID: 2, SHA256: &sum},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Files (-want +got):\n%s", diff)
	}
}

func TestHostileImages(t *testing.T) {
	bomb := func(w io.Writer) { // a package.json of 300 MB, of which most is one text
		out := tar.NewWriter(w)
		const size = 300 << 20
		_ = out.WriteHeader(&tar.Header{Name: "app/package.json", Mode: 0o644, Size: size})
		head := `{"name":"a","version":"1","description":"`
		_, _ = io.WriteString(out, head)
		for rest, block := size-len(head), bytes.Repeat([]byte("a"), 1<<20); rest > 0; rest -= len(block) {
			_, _ = out.Write(block[:min(rest, len(block))])
		}
		out.Close()
	}
	tests := []struct {
		name   string
		layer  func(io.Writer)
		memory int64
		disk   int64
		want   string
	}{
		{"no tar", func(w io.Writer) { _, _ = io.WriteString(w, strings.Repeat("no tar at all ", 100)) }, 1 << 30, 0, "the image could not be read: layer 1 of 1 (sha256:"},
		{"memory bomb", bomb, 150 << 20, 0, "more memory than its limit"},
		{"disk bomb", bomb, 512 << 20, 20 << 20, "unpacks to more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			layout, digest := sbomtest.WriteTars(t, test.layer)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			c, err := analyze.NewChild(analyze.ChildConfig{Command: []string{self, analyze.AnalyzeChild, "none"}, Memory: test.memory, Disk: test.disk})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Analyze(t.Context(), sbom.Request{Layout: layout, Digest: digest, Work: t.TempDir()})
			var e *anchore.Error
			if !errors.As(err, &e) || e.Kind != anchore.Invalid || !strings.Contains(e.Message, test.want) {
				t.Errorf("Analyze: %v, want Invalid with %q", err, test.want)
			}
		})
	}
}

// TestDamagedLayers: the sentence that the user gets names the layer and what is
// wrong with it, and nothing of this host.
func TestDamagedLayers(t *testing.T) {
	whole, _ := sbomtest.WriteLayout(t, sbomtest.Debian()[0])
	var layer []byte
	blobs, err := filepath.Glob(filepath.Join(whole, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		if data, err := os.ReadFile(blob); err == nil && bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			layer = data
		}
	}
	for _, tt := range []struct {
		layer []byte
		want  string
	}{
		{[]byte(strings.Repeat("no gzip at all ", 100)), "is no gzip file, as its media type says that it is"},
		{layer[:len(layer)/2], "is a gzip file that ends too early"},
	} {
		layout, digest := sbomtest.WriteBlobs(t, layer, tt.layer)
		_, err := newChild(t, sbomtest.None).Analyze(t.Context(), sbom.Request{Layout: layout, Digest: digest, Work: t.TempDir()})
		want := fmt.Sprintf("the image could not be read: layer 2 of 2 (sha256:%x) %s", sha256.Sum256(tt.layer), tt.want)
		if anchore.KindOf(err) != anchore.Invalid || anchore.MessageOf(err) != want {
			t.Errorf("Analyze: %v, want %q", err, want)
		}
	}
}

func TestWrongLayout(t *testing.T) {
	layout, digest := sbomtest.WriteLayout(t, sbomtest.Debian()...)
	for _, req := range []sbom.Request{
		{Layout: t.TempDir(), Digest: digest},
		{Layout: layout, Digest: "sha256:" + strings.Repeat("0", 64)},
	} {
		req.Work = t.TempDir()
		_, err := newChild(t, sbomtest.None).Analyze(t.Context(), req)
		if anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Analyze(%s, %s): %v, want Invalid", filepath.Base(req.Layout), req.Digest, err)
		}
	}
}

func BenchmarkChild(b *testing.B) {
	layout, digest := sbomtest.WriteLayout(b, sbomtest.Debian()...)
	c := newChild(b, sbomtest.None)
	for b.Loop() {
		if _, err := c.Analyze(b.Context(), sbom.Request{Layout: layout, Digest: digest, Work: b.TempDir()}); err != nil {
			b.Fatal(err)
		}
	}
}
