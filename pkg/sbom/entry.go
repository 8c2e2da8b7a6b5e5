package sbom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// entries collects what Content returns. An entry is kept as the JSON that it will be
// sent as, which takes about the memory that its part of the document took; as a
// struct it would take many times that. The zero value is empty.
type entries struct {
	list []entry
	buf  bytes.Buffer
	enc  *json.Encoder
}

type entry struct {
	order string // what it is sorted by
	text  json.RawMessage
}

// add appends v, which is sorted by texts, the first of them first.
func (l *entries) add(v any, by ...string) error {
	if l.enc == nil {
		l.enc = json.NewEncoder(&l.buf)
		l.enc.SetEscapeHTML(false)
	}
	l.buf.Reset()
	if err := l.enc.Encode(v); err != nil {
		return err
	}
	text := bytes.TrimSuffix(l.buf.Bytes(), []byte("\n"))
	l.list = append(l.list, entry{order: strings.Join(by, "\x00"), text: bytes.Clone(text)}) // NUL is before all that names have
	return nil
}

// sorted returns the entries, never nil. Those with the same order stay as they came.
func (l *entries) sorted() []json.RawMessage {
	slices.SortStableFunc(l.list, func(a, b entry) int { return cmp.Compare(a.order, b.order) })
	texts := make([]json.RawMessage, 0, len(l.list))
	for _, e := range l.list {
		texts = append(texts, e.text)
	}
	return texts
}

// packages returns the function that adds the packages of a content type.
func (l *entries) packages(ctype string) func(*artifact) error {
	belongs := selector(ctype)
	return func(a *artifact) error {
		switch {
		case !belongs(a.Type):
			return nil
		case ctype == javaContent:
			p := javaEntry(a)
			return l.add(p, p.Package, p.Version, p.Location)
		case ctype == osContent:
			return l.addPackage(osPackage(a))
		}
		return l.addPackage(languagePackage(a))
	}
}

func (l *entries) addPackage(p Package) error {
	return l.add(p, p.Package, p.Version, p.Location, p.Type)
}

// addFile adds what a container sees of a file; without metadata that is nothing.
func (l *entries) addFile(f *file) error {
	if f.Metadata == nil {
		return nil
	}
	entry := fileEntry(f)
	return l.add(entry, entry.Filename)
}
