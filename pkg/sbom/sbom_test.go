package sbom

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func TestSummary(t *testing.T) {
	got, err := Summary(open(t))
	want := anchore.Summary{Distro: "rhel", DistroVersion: "9.3", Size: 123456, Packages: 10}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Summary(): %v (-want +got):\n%s", err, diff)
	}
}

func TestPackages(t *testing.T) {
	tests := map[string][]Package{
		"os": {
			{Package: "bash", Version: "5.2.15-2+b2", Type: "dpkg", Size: "7335936", Origin: "M", License: "GPL-3 MIT", Licenses: []string{"GPL-3", "MIT"}, SourcePkg: "bash-5.2.15-2", CPEs: []string{}},
			{Package: "musl", Version: "1.2.4-r2", Type: "APKG", Size: "667648", Origin: "T <t@example.test>", License: "MIT", Licenses: []string{"MIT"}, SourcePkg: "musl-src", CPEs: []string{}},
			{Package: "openssl-libs", Version: "3.0.7-24.el9", Type: "rpm", Size: "7112380", Origin: "Red Hat, Inc.", License: "ASL 2.0", Licenses: []string{"ASL 2.0"}, SourcePkg: "openssl-3.0.7-24.el9.src.rpm", CPEs: []string{"cpe:2.3:a:redhat:openssl-libs:1:*:*:*:*:*:*:*"}},
		},
		"gem":    {{Package: "rake", Version: "13.0", Type: "GEM", Origin: "A,B", License: "Unknown", Licenses: []string{}, Location: "/gems/rake.gemspec", CPEs: []string{}}},
		"go":     {{Package: "lib", Version: "v1.2.0", Type: "GO", Origin: "Unknown", License: "Unknown", Licenses: []string{}, Location: "/usr/bin/tool", CPEs: []string{}}},
		"binary": {{Package: "python", Type: "BINARY", Origin: "Unknown", License: "Unknown", Licenses: []string{}, Location: "/usr/bin/python", CPEs: []string{}}},
		"rust":   {{Package: "crate", Version: "1", Type: "RUST-CRATE", Origin: "Unknown", License: "Unknown", Licenses: []string{}, Location: "Unknown", CPEs: []string{}}},
		"other":  {{Package: "odd", Version: "1", Type: "SOMETHING-NEW", Origin: "Unknown", License: "Unknown", Licenses: []string{}, Location: "Unknown", CPEs: []string{}}},
		"npm":    {},
	}
	for ctype, want := range tests {
		if diff := cmp.Diff(want, content[Package](t, ctype)); diff != "" {
			t.Errorf("Content(%s) (-want +got):\n%s", ctype, diff)
		}
	}
}

func TestJavaPackages(t *testing.T) {
	want := []javaPackage{
		{
			Package: "a", Type: "JAVA-WAR", Location: "/app/a.war", SpecificationVersion: "2", ImplementationVersion: "N/A",
			MavenVersion: "N/A", Version: "0.9", Origin: "V", Metadata: map[string]string{}, CPEs: []string{},
		},
		{
			Package: "spring-core", Type: "JAVA-JAR", Location: "/app/a.war:WEB-INF/lib/spring-core.jar", SpecificationVersion: "N/A",
			ImplementationVersion: "5.3.1", MavenVersion: "5.3.1", Version: "5.3.1", Origin: "org.springframework",
			Metadata: map[string]string{"pom.properties": "groupId=org.springframework\nartifactId=spring-core\nversion=5.3.1\n"}, CPEs: []string{},
		},
	}
	if diff := cmp.Diff(want, content[javaPackage](t, "java")); diff != "" {
		t.Errorf("Content(java) (-want +got):\n%s", diff)
	}
}

func TestFiles(t *testing.T) {
	sum, dest := "abc", "usr/bin"
	want := []File{
		{Filename: "/bin", Type: "slink", Mode: "00777", LinkDest: &dest},
		{Filename: "/dev/null", Type: "dev", Mode: "00666"},
		{Filename: "/run/pipe", Type: "UNKNOWN", Mode: "00000"},
		{Filename: "/tmp", Type: "dir", Mode: "01777"},
		{Filename: "/usr/bin/su", Type: "file", Size: 71, Mode: "04755", GID: 5, SHA256: &sum},
	}
	if diff := cmp.Diff(want, content[File](t, "files")); diff != "" {
		t.Errorf("Content(files) (-want +got):\n%s", diff)
	}
}

// content decodes the entries that the document has of a type.
func content[T any](t *testing.T, ctype string) []T {
	t.Helper()
	texts, err := Content(open(t), ctype)
	if err != nil {
		t.Fatalf("Content(%s): %v", ctype, err)
	}
	list := make([]T, len(texts))
	for i, text := range texts {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&list[i]); err != nil {
			t.Errorf("Content(%s) has %s: %v", ctype, text, err)
		}
	}
	return list
}

// TestKeysAreInOrder: entries are sent as they are, and scripts compare them.
func TestKeysAreInOrder(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[Package](), reflect.TypeFor[File](), reflect.TypeFor[javaPackage]()} {
		var keys []string
		for i := range of.NumField() {
			key, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			keys = append(keys, key)
		}
		if !slices.IsSorted(keys) {
			t.Errorf("the keys of %v are not sorted: %q", of, keys)
		}
	}
}

func TestContentKeepsTexts(t *testing.T) {
	const doc = `{"artifacts":[{"name":"b<&>","version":"2"},{"name":"b<&>","version":"1"},{"name":"a\u2028é"}],"source":{}}`
	texts, err := Content(strings.NewReader(doc), "other")
	var names []string
	for _, text := range texts {
		_, after, _ := strings.Cut(string(text), `"package":`)
		names = append(names, after)
	}
	want := []string{`"a\u2028é","type":"","version":""}`, `"b<&>","type":"","version":"1"}`, `"b<&>","type":"","version":"2"}`}
	if diff := cmp.Diff(want, names); diff != "" || err != nil {
		t.Errorf("Content(): %v (-want +got):\n%s", err, diff)
	}
}

// TestMetadataOfOtherTypes: a detail that a later syft tells in another way is left
// out, and nothing else.
func TestMetadataOfOtherTypes(t *testing.T) {
	for metadata, want := range map[string]Package{
		`{"maintainer":["M"],"source":"src","sourceVersion":"2","installedSize":1}`:                         {Size: "1024", SourcePkg: "src-2", Origin: "Unknown"},
		`{"maintainer":"M","files":[{"path":"/a","x":[[1]]}],"installedSize":"many","x":{"y":1}}`:           {Size: "0", SourcePkg: "a-1", Origin: "M"},
		`{"maintainer":"M","manifest":{"main":[1,{"a":[2]}],"x":[]},"pomProperties":[3],"installedSize":2}`: {Size: "2048", SourcePkg: "a-1", Origin: "M"},
		`{"manifest":[{"main":{}}],"maintainer":"M","installedSize":2}`:                                     {Size: "2048", SourcePkg: "a-1", Origin: "M"},
		`[{"maintainer":"M"}]`: {Size: "0", SourcePkg: "a-1", Origin: "Unknown"},
		`null`:                 {Size: "0", SourcePkg: "a-1", Origin: "Unknown"},
		`"text"`:               {Size: "0", SourcePkg: "a-1", Origin: "Unknown"},
	} {
		doc := `{"artifacts":[{"metadata":` + metadata + `,"type":"deb","version":"1","name":"a","later":[{}]}],"source":{}}`
		texts, err := Content(strings.NewReader(doc), "os")
		if err != nil || len(texts) != 1 {
			t.Errorf("metadata %s: %d packages, %v", metadata, len(texts), err)
			continue
		}
		var got Package
		if err := json.Unmarshal(texts[0], &got); err != nil {
			t.Fatal(err)
		}
		want.Package, want.Version, want.Type, want.License = "a", "1", "dpkg", "Unknown"
		want.CPEs, want.Licenses = []string{}, []string{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metadata %s (-want +got):\n%s", metadata, diff)
		}
	}
}

// TestDocumentsAreBounded: what needs more memory than real images is refused, before
// it has taken it, and what is long but not needed is passed over.
func TestDocumentsAreBounded(t *testing.T) {
	const head, tail = `{"source":{},"artifacts":[`, `]}`
	for _, tt := range []struct {
		name, before, each string
		n                  int
		after, refusal     string
	}{
		{"packages", head, `{},`, maxArtifacts, `{}` + tail, "more than 250000 artifacts"},
		{"files", `{"source":{},"artifacts":[],"files":[`, `{},`, maxFiles, `{}` + tail, "more than 1000000 files"},
		{"a text of the most", head + `{"name":"`, "x", maxValue - 4096, `"}` + tail, ""},
		{"a text", head + `{"name":"`, "x", maxValue, `"}` + tail, "a value of more than"},
		{"a list", head + `{"cpes":[`, `"a",`, maxValue / 4, `"a"]}` + tail, "a value of more than"},
		{"a text that nobody reads", head + `{"x":"`, "x", maxValue, `"}` + tail, "a value of more than"},
		{"the files of a package", head + `{"type":"deb","metadata":{"files":[`, `{"path":"/usr/share/doc"},`, maxValue / 10, `{}]}}` + tail, ""},
		{"the sections of a manifest", head + `{"type":"java-archive","metadata":{"manifest":{"main":{"a":"b"},"sections":[`, `[{"key":"Name","value":"a/b.class"}],`, maxValue / 10, `[]]}}}` + tail, ""},
	} {
		_, err := Summary(io.MultiReader(strings.NewReader(tt.before), strings.NewReader(strings.Repeat(tt.each, tt.n)), strings.NewReader(tt.after)))
		switch {
		case tt.refusal == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.refusal != "" && (anchore.KindOf(err) != anchore.Invalid || !strings.Contains(err.Error(), tt.refusal)):
			t.Errorf("%s: %v, want Invalid with %q", tt.name, err, tt.refusal)
		}
	}
}

// Every package is in exactly one content type, and no list is null.
func TestContentTypesCoverAll(t *testing.T) {
	sum := 0
	for _, ctype := range ContentTypes() {
		entries, err := Content(open(t), ctype)
		if err != nil {
			t.Fatalf("Content(%s): %v", ctype, err)
		}
		text, err := json.Marshal(entries)
		if err != nil || bytes.Contains(text, []byte(`"licenses":null`)) || bytes.Contains(text, []byte(`"cpes":null`)) || text[0] != '[' {
			t.Errorf("Content(%s) encodes as %s, %v", ctype, text, err)
		}
		if ctype != "files" {
			sum += len(entries)
		}
	}
	if sum != 10 {
		t.Errorf("the content types have %d packages together, the document has 10", sum)
	}
}

func TestUnknownContentType(t *testing.T) {
	for _, ctype := range []string{"", "malware", "OS", "deb"} {
		_, err := Content(open(t), ctype)
		if anchore.KindOf(err) != anchore.Invalid || !strings.Contains(err.Error(), "os, files, npm, gem, python, java, binary, go") {
			t.Errorf("Content(%q): %v, want Invalid with the allowed types", ctype, err)
		}
	}
}

func TestNoDocument(t *testing.T) {
	const good = `{"artifacts":[],"source":{}}`
	tests := map[string]bool{
		good: true, good + "\n ": true, `{"artifacts":[{"name":"x"}],"source":{},"files":[{}],"distro":{}}`: true,
		"": false, "null": false, "[]": false, "{}": false, good + "x": false, good + good: false, good[:len(good)-1]: false,
		`{"artifacts":{},"source":{}}`: false, `{"artifacts":[1],"source":{}}`: false, `{"artifacts":[]}`: false,
		`{"artifacts":[],"source":[]}`: false, `{"artifacts":[],"source":{},"distro":7}`: false,
		`{"artifacts":[],"source":{},"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}": false,
	}
	for text, ok := range tests {
		_, err := Summary(strings.NewReader(text))
		if ok != (err == nil) || err != nil && anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("Summary(%.60s): %v, want success %v", text, err, ok)
		}
	}
	for text, want := range map[string]string{
		"null": "null stands where { is expected", "7": "7 stands where { is expected", `"` + strings.Repeat("x", 50) + `"`: `"` + strings.Repeat("x", 40) + `" stands where`,
		`{"artifacts":null,"source":{}}`:            "null stands where [ is expected",
		`{"artifacts":[],"source":5}`:               "source has another type",
		`{"artifacts":[],"source":{"metadata":5}}`:  "source.metadata has another type",
		`{"artifacts":[{"name":5}],"source":{}}`:    "artifacts.name has another type",
		`{"artifacts":[{"cpes":[5]}],"source":{}}`:  "artifacts.cpes has another type",
		`{"artifacts":[],"files":[7],"source":{}}`:  "files has another type",
		`{"artifacts":[],"source":{},"distro":"a"}`: "distro has another type",
	} {
		err := document{
			artifact: func(*artifact) error { return nil }, file: func(*file) error { return nil },
			source: func(*source) {}, distro: func(*distro) {},
		}.read(strings.NewReader(text))
		if message := anchore.MessageOf(err); !strings.Contains(message, "the document is no syft document: "+want) {
			t.Errorf("read(%s): %q, want %q in it", text, message, want)
		}
	}
	broken := errors.New("broken disk")
	if _, err := Summary(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Summary(broken disk): %v", err)
	}
}

func TestHistory(t *testing.T) {
	manifest := `{"layers":[{"digest":"sha256:1","size":10},{"digest":"sha256:2","size":20}]}`
	config := `{"history":[{"created":"2024-01-01T00:00:00Z","created_by":"ADD x"},{"created_by":"CMD","empty_layer":true,"comment":"c"},{"created_by":"RUN"},{"created_by":"too many"}]}`
	got, err := history([]byte(manifest), []byte(config))
	want := []historyEntry{
		{ID: "sha256:1", Created: "2024-01-01T00:00:00Z", CreatedBy: "ADD x", Size: 10, Tags: []string{}},
		{ID: "<missing>", CreatedBy: "CMD", Comment: "c", Tags: []string{}},
		{ID: "sha256:2", CreatedBy: "RUN", Size: 20, Tags: []string{}},
		{ID: "<missing>", CreatedBy: "too many", Tags: []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("History(): %v (-want +got):\n%s", err, diff)
	}
	if _, err := history([]byte("x"), []byte(config)); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("History(no manifest): %v, want Invalid", err)
	}
	if got, err := history([]byte("{}"), []byte("{}")); err != nil || got == nil || len(got) != 0 {
		t.Errorf("History of nothing = %#v, %v; want an empty list", got, err)
	}
}

func TestEncode(t *testing.T) {
	doc := bytes.Repeat([]byte("anchore "), 20)
	got := encode(doc)
	for line := range strings.Lines(got) {
		if len(line) > base64Line+1 || !strings.HasSuffix(line, "\n") {
			t.Errorf("line %q", line)
		}
	}
	back, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(got, "\n", ""))
	if err != nil || !bytes.Equal(back, doc) {
		t.Errorf("decoded %q, %v", back, err)
	}
	if encode(nil) != "" {
		t.Errorf("encode(nil) = %q", encode(nil))
	}
}

// What Summary accepts, every content type can be read from; nothing else gives
// an error that is not Invalid.
func FuzzDocument(f *testing.F) {
	doc, err := os.ReadFile("testdata/document.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte(`{"artifacts":[{"type":"deb","metadata":{}}],"source":{},"files":[{"metadata":{"mode":-7}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Summary(bytes.NewReader(data))
		if err != nil {
			if anchore.KindOf(err) != anchore.Invalid {
				t.Errorf("Summary: %v is not Invalid", err)
			}
			return
		}
		for _, ctype := range ContentTypes() {
			if _, err := Content(bytes.NewReader(data), ctype); err != nil {
				t.Errorf("Summary accepts what Content(%s) refuses: %v", ctype, err)
			}
		}
	})
}

func open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open("testdata/document.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
