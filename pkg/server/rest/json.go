package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Encode formats v as the original's answers are, which scripts compare: indented
// by two, keys sorted, everything beyond ASCII escaped, a newline at the end. The
// fields of generated types are in the order of their keys; anything else goes
// through Sorted first.
func Encode(v any) ([]byte, error) {
	if list := reflect.ValueOf(v); isList(list) {
		var enc listEncoder
		for i := range list.Len() {
			if err := enc.add(list.Index(i).Addr().Interface()); err != nil {
				return nil, err
			}
		}
		return enc.end(), nil
	}
	var compact bytes.Buffer
	enc := json.NewEncoder(&compact) // ends with a newline
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	out := make([]byte, 0, compact.Len()+compact.Len()/2)
	return append(indent(out, compact.Bytes(), 0), '\n'), nil
}

// isList reports whether v is a list with elements, which may be encoded one by
// one.
func isList(v reflect.Value) bool {
	return v.Kind() == reflect.Slice && v.Len() > 0 && v.Type().Elem().Kind() != reflect.Uint8 && !v.Type().Implements(reflect.TypeFor[json.Marshaler]())
}

// indent appends a JSON document in compact form, as json.Encoder writes it, to
// out: indented as json.Indent does, at the given depth, and with every character
// beyond ASCII, which can only be inside a text, as its \u escape (two of them
// beyond the basic plane). It is quicker than json.Indent because the document is
// known to be valid.
func indent(out, doc []byte, depth int) []byte {
	for i := 0; i < len(doc); {
		switch c := doc[i]; c {
		case '"':
			end := textEnd(doc, i)
			out = appendASCII(out, doc[i:end])
			i = end
			continue
		case '{', '[':
			out = append(out, c)
			if closing := doc[i+1]; closing == '}' || closing == ']' {
				out = append(out, closing)
				i++
				break
			}
			depth++
			out = newLine(out, depth)
		case '}', ']':
			depth--
			out = append(newLine(out, depth), c)
		case ',':
			out = newLine(append(out, c), depth)
		case ':':
			out = append(out, c, ' ')
		case '\n': // at the end of what an Encoder writes
		default:
			out = append(out, c)
		}
		i++
	}
	return out
}

// textEnd returns where the text that begins at i ends.
func textEnd(doc []byte, i int) int {
	for i++; doc[i] != '"'; i++ {
		if doc[i] == '\\' {
			i++ // the next byte is part of the escape
		}
	}
	return i + 1
}

func newLine(out []byte, depth int) []byte {
	out = append(out, '\n')
	for range depth {
		out = append(out, "  "...)
	}
	return out
}

// appendASCII appends a text, with escapes for what is not ASCII.
func appendASCII(out, text []byte) []byte {
	i := 0
	for i < len(text) && text[i] < utf8.RuneSelf {
		i++
	}
	if out = append(out, text[:i]...); i == len(text) {
		return out
	}
	for i < len(text) {
		if text[i] < utf8.RuneSelf {
			out = append(out, text[i])
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// Sorted returns v as maps and lists, which are encoded in the order of their
// keys. It costs several times what encoding does, so long lists go without.
func Sorted(v any) (any, error) {
	flat, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(flat))
	dec.UseNumber()
	var tree any
	err = dec.Decode(&tree)
	return tree, err
}

// Decode reads the body of a request, which was read and checked before. Errors:
// Invalid.
func Decode[T any](r *http.Request) (T, error) {
	var v T
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		return v, anchore.E(anchore.Invalid, "rest.Decode", "the body is not what this request takes: %s", jsonProblem(err)).Because(err)
	}
	return v, nil
}

// jsonProblem says what is wrong with a JSON document without naming Go types.
func jsonProblem(err error) string {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Sprintf("not valid JSON at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("property %q is of the wrong type (%s)", e.Field, e.Value)
	}
	return "not valid JSON"
}

// depth returns how deep objects and lists are inside each other in a JSON
// document. It looks at brackets outside of texts only, so it is cheap and safe on
// anything.
func depth(doc []byte) int {
	deepest, now, text := 0, 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case text && c == '\\':
			i++ // the next byte is part of the escape
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
