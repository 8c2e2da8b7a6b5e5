// Package sbom reads the documents that an analysis leaves: syft's own JSON
// format (schema 16, https://github.com/anchore/syft/tree/main/schema/json; of
// earlier ones, which clients hand in, as far as they agree). It knows what the engine shows of them, and the words that the engine and the
// analysis child exchange. It links no part of syft, so everything may import it;
// sbom/syft makes the documents.
package sbom

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Bounds on documents, far beyond those of real images: a small document must not
// need much memory, whoever made it.
const (
	maxDepth     = 200     // nesting of what is skipped; syft's own documents stay under ten
	maxValue     = 4 << 20 // bytes of a text, of a file, or of a list that an artifact has
	maxArtifacts = 250_000
	maxFiles     = 1_000_000
)

// document says which parts of a document a reader wants, each as it comes by.
// A nil function skips its part.
type document struct {
	artifact func(*artifact) error
	file     func(*file) error
	source   func(*source)
	distro   func(*distro)
}

type artifact struct {
	Name      string
	Version   string
	Type      string
	Locations []location
	Licenses  []license
	CPEs      []cpe
	Metadata  metadata
}

// read reads one artifact key by key, so that what is long in it is not held.
func (a *artifact) read(dec *json.Decoder) error {
	return object(dec, func(key string) error {
		switch key {
		case "name":
			return named(key, dec.Decode(&a.Name))
		case "version":
			return named(key, dec.Decode(&a.Version))
		case "type":
			return named(key, dec.Decode(&a.Type))
		case "locations":
			return named(key, dec.Decode(&a.Locations))
		case "licenses":
			return named(key, dec.Decode(&a.Licenses))
		case "cpes":
			return named(key, dec.Decode(&a.CPEs))
		case "metadata":
			return a.Metadata.read(dec)
		}
		return skip(dec)
	})
}

// named adds the key to an error of what is at it.
func named(key string, err error) error {
	if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		typ.Field = strings.TrimSuffix(key+"."+typ.Field, ".")
	}
	return err
}

type location struct {
	Path string `json:"path"`
}

type license struct {
	Value string `json:"value"`
	SPDX  string `json:"spdxExpression"`
}

// UnmarshalJSON reads an object, or the bare text of documents before schema 8.
func (l *license) UnmarshalJSON(data []byte) error {
	type object license
	return textOrObject(data, &l.Value, (*object)(l))
}

type cpe struct {
	CPE string `json:"cpe"`
}

// UnmarshalJSON reads an object, or the bare text of documents before schema 16.
func (c *cpe) UnmarshalJSON(data []byte) error {
	type object cpe
	return textOrObject(data, &c.CPE, (*object)(c))
}

func textOrObject(data []byte, text *string, object any) error {
	if data[0] == '"' {
		return json.Unmarshal(data, text)
	}
	return json.Unmarshal(data, object)
}

type file struct {
	Location location `json:"location"`
	Metadata *struct {
		Mode     int    `json:"mode"` // the octal digits, read as a decimal number
		Type     string `json:"type"`
		LinkDest string `json:"linkDestination"`
		UID      int    `json:"userID"`
		GID      int    `json:"groupID"`
		Size     int64  `json:"size"`
	} `json:"metadata"`
	Digests []struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"value"`
	} `json:"digests"`
}

type source struct {
	Type     string          `json:"type"`
	Metadata subject         `json:"metadata"`
	Target   json.RawMessage `json:"target"` // the same before schema 7; the text of a path if it is no image
}

// subject is the image that a document is about.
type subject struct {
	Digest string `json:"manifestDigest"`
	Size   int64  `json:"imageSize"`
}

func (s *source) subject() subject {
	var old subject
	if json.Unmarshal(s.Target, &old) == nil { // it is another kind of target if not
		return subject{Digest: text(s.Metadata.Digest, old.Digest), Size: cmp.Or(s.Metadata.Size, old.Size)}
	}
	return s.Metadata
}

type distro struct {
	ID        string `json:"id"`
	Name      string `json:"name"` // the id, before schema 2
	Version   string `json:"version"`
	VersionID string `json:"versionID"`
}

// read walks through a document once, holding one file, or a part of one artifact, at
// a time.
// Unknown keys are skipped. Errors: Invalid for what is no such document; those
// of the functions and of r as they are.
func (d document) read(r io.Reader) error {
	in := &reader{r: r}
	dec := json.NewDecoder(in)
	in.dec = dec
	found := map[string]bool{}
	err := object(dec, func(key string) error {
		found[key] = true
		switch key {
		case "artifacts":
			return list(dec, "artifacts", maxArtifacts, d.artifact)
		case "files":
			return list(dec, "files", maxFiles, d.file)
		case "source":
			return named(key, one(dec, d.source))
		case "distro":
			return named(key, one(dec, d.distro))
		}
		return skip(dec)
	})
	if err == nil {
		_, err = dec.Token()
		switch {
		case errors.Is(err, io.EOF):
			err = nil
		case err == nil:
			err = malformed("something follows the document")
		}
	}
	switch {
	case in.err != nil:
		return in.err
	case err != nil:
		return asInvalid(err)
	case !found["artifacts"] || !found["source"]:
		return malformed("it has no artifacts or no source")
	}
	return nil
}

// reader remembers why reading failed, to tell a broken disk from a broken document.
// It bounds what the decoder holds, which is a value from its beginning on.
type reader struct {
	r    io.Reader
	dec  *json.Decoder
	read int64
	err  error
}

func (in *reader) Read(p []byte) (int, error) {
	room := maxValue + 1 - (in.read - in.dec.InputOffset())
	if room <= 0 {
		in.err = anchore.E(anchore.Invalid, "sbom.read", "the document has a value of more than %d bytes", maxValue)
		return 0, in.err
	}
	n, err := in.r.Read(p[:min(int64(len(p)), room)])
	in.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

// object calls fn with each key of the object that comes next; fn consumes the value.
func object(dec *json.Decoder, fn func(key string) error) error {
	if err := delim(dec, '{'); err != nil {
		return err
	}
	return members(dec, fn)
}

// members is object behind its brace.
func members(dec *json.Decoder, fn func(key string) error) error {
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return malformed("an object has a key that is no text")
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	return delim(dec, '}')
}

// list calls fn with each element of the list that comes next, decoded anew. It has so
// many at most, which are called what.
func list[T any](dec *json.Decoder, what string, most int, fn func(*T) error) error {
	if fn == nil {
		return skip(dec)
	}
	if err := delim(dec, '['); err != nil {
		return err
	}
	for n := 0; dec.More(); n++ {
		if n == most {
			return anchore.E(anchore.Invalid, "sbom.read", "the document has more than %d %s", most, what)
		}
		var element T
		if err := named(what, decode(dec, &element)); err != nil {
			return err
		}
		if err := fn(&element); err != nil {
			return err
		}
	}
	return delim(dec, ']')
}

// decode reads a value that may know how to read itself.
func decode(dec *json.Decoder, v any) error {
	if own, ok := v.(interface{ read(*json.Decoder) error }); ok {
		return own.read(dec)
	}
	return dec.Decode(v)
}

func one[T any](dec *json.Decoder, fn func(*T)) error {
	if fn == nil {
		return skip(dec)
	}
	var value T
	if err := dec.Decode(&value); err != nil {
		return err
	}
	fn(&value)
	return nil
}

func delim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return malformed(fmt.Sprintf("%s stands where %v is expected", shown(t), want))
	}
	return nil
}

// shown is a token as a document has it; of a long text the beginning.
func shown(t json.Token) string {
	switch v := t.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%.40q", v)
	}
	return fmt.Sprint(t)
}

// skip consumes one value token by token, so that its size costs no memory.
func skip(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	return skipFrom(dec, t)
}

// skipFrom is skip for a value whose first token was read.
func skipFrom(dec *json.Decoder, t json.Token) (err error) {
	for depth := 0; ; {
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return malformed("it is nested too deeply")
		}
		if depth <= 0 {
			return nil
		}
		if t, err = dec.Token(); err != nil {
			return err
		}
	}
}

func malformed(why string) error {
	return anchore.E(anchore.Invalid, "sbom.read", "the document is no syft document: %s", why)
}

// asInvalid turns what the JSON decoder says into an Invalid error, and leaves
// the errors of a document's functions as they are.
func asInvalid(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return anchore.E(anchore.Invalid, "sbom.read", "the document is no syft document: it ends too early").Because(err)
	case errors.As(err, &syntax):
		return anchore.E(anchore.Invalid, "sbom.read", "the document is no syft document: it is no JSON").Because(err)
	case errors.As(err, &typ):
		return anchore.E(anchore.Invalid, "sbom.read", "the document is no syft document: %s has another type", typ.Field).Because(err)
	}
	return err
}

// text is the first of values that is not blank.
func text(values ...string) string {
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return ""
}
