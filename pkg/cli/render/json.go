package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

type (
	// Object is a JSON object with its keys in the order received.
	Object []Member
	// Member is a key of an Object and what it has there.
	Member struct {
		Key   string
		Value any
	}
	// Number is a JSON number as it was written.
	Number string
)

// maxDepth is how deep an answer may be nested; the API's own are below ten.
const maxDepth = 200

// Get returns the value of key, nil if there is none.
func (o Object) Get(key string) any {
	v, _ := o.Lookup(key)
	return v
}

// Lookup returns the value of key, and whether there is one.
func (o Object) Lookup(key string) (any, bool) {
	for i := range o {
		if o[i].Key == key {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Set replaces the value of key, or adds it at the end.
func (o Object) Set(key string, value any) Object {
	for i := range o {
		if o[i].Key == key {
			o[i].Value = value
			return o
		}
	}
	return append(o, Member{key, value})
}

// At follows keys into nested objects; nil where one is missing.
func At(v any, keys ...string) any {
	for _, k := range keys {
		o, ok := v.(Object)
		if !ok {
			return nil
		}
		v = o.Get(k)
	}
	return v
}

// Items returns v's elements if it is a list, else none.
func Items(v any) []any {
	l, _ := v.([]any)
	return l
}

// DecodeJSON reads one JSON document.
func DecodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON document")
	}
	return v, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("JSON nested deeper than %d", maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Number:
		return Number(t), nil
	case json.Delim:
		if t == '{' {
			return decodeObject(dec, depth)
		}
		return decodeList(dec, depth)
	}
	return tok, nil // string, bool or nil
}

func decodeObject(dec *json.Decoder, depth int) (any, error) {
	o := Object{}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key := tok.(string) // safe: the decoder allows nothing else here
		v, err := decodeValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			o = o.Set(key, v)
			continue
		}
		seen[key] = true
		o = append(o, Member{key, v})
	}
	_, err := dec.Token()
	return o, err
}

func decodeList(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := decodeValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

// JSON renders v as Python's json.dumps(v, indent=4, sort_keys=True) does.
func JSON(v any) string {
	return string(appendJSON(nil, v, 0))
}

func appendJSON(b []byte, v any, depth int) []byte {
	switch t := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, t)
	case Number:
		return append(b, jsonNumber(t)...)
	case int:
		return strconv.AppendInt(b, int64(t), 10)
	case string:
		return appendJSONString(b, t)
	case []any:
		if len(t) == 0 {
			return append(b, "[]"...)
		}
		b = append(b, '[')
		for i, e := range t {
			b = appendJSON(newLine(b, i, depth+1), e, depth+1)
		}
		return append(newLine(b, 0, depth), ']')
	case Object:
		if len(t) == 0 {
			return append(b, "{}"...)
		}
		b = append(b, '{')
		for i, m := range Sorted(t) {
			b = appendJSONString(newLine(b, i, depth+1), m.Key)
			b = appendJSON(append(b, ": "...), m.Value, depth+1)
		}
		return append(newLine(b, 0, depth), '}')
	}
	panic(fmt.Sprintf("render: no JSON form for %T", v))
}

func newLine(b []byte, i, depth int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = append(b, '\n')
	for range depth {
		b = append(b, "    "...)
	}
	return b
}

// Sorted returns o's members by key. Bytewise order of UTF-8 is the order of
// code points, which is Python's.
func Sorted(o Object) Object {
	o = slices.Clone(o)
	slices.SortStableFunc(o, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
	return o
}

func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r >= ' ' && r <= '~':
			b = append(b, byte(r))
		case r <= 0xFFFF:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			hi, lo := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
		}
	}
	return append(b, '"')
}

// jsonNumber is pyNumber, with JSON's (Python's) name for what overflows.
func jsonNumber(n Number) string {
	switch s := pyNumber(n); s {
	case "inf":
		return "Infinity"
	case "-inf":
		return "-Infinity"
	default:
		return s
	}
}

// pyNumber renders a JSON number as Python prints what it reads: integers
// exactly, everything else as the shortest text of a float.
func pyNumber(n Number) string {
	s := string(n)
	if !strings.ContainsAny(s, ".eE") {
		if i, ok := new(big.Int).SetString(s, 10); ok {
			return i.String()
		}
		return s
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range gives an infinity, as in Python
	return Float(f)
}

// Float is Python's repr of a float: 1.0, 0.25, 1e+20, 1e-07.
func Float(f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	e := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return e
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// PlainText is a body that is no JSON, fit to be shown.
func PlainText(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	return strings.ToValidUTF8(string(data), "�")
}

// OrDefault is v, or def for a value that is not there.
func OrDefault(v any, def string) any {
	if v == nil {
		return def
	}
	return v
}

// IsEmpty is Python's falsehood.
func IsEmpty(v any) bool {
	switch t := v.(type) {
	case nil:
		return true
	case bool:
		return !t
	case string:
		return t == ""
	case Number:
		return Rational(t).Sign() == 0
	case []any:
		return len(t) == 0
	case Object:
		return len(t) == 0
	}
	return false
}
