package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// write answers with v as JSON.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := encode(v)
	if err != nil {
		s.log.Error("answer cannot be encoded", "route", r.Pattern, "request_id", requestID(r.Context()), "err", err)
		status, body = http.StatusInternalServerError, []byte(unencodable)
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

const unencodable = `{
  "detail": {
    "error_codes": []
  },
  "httpcode": 500,
  "message": "internal error; the engine's log has the cause"
}
`

// send answers with v, or with err if there is one.
func (s *Server) send(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, v)
}

// encode formats v as the original's answers are, which scripts compare: indented
// by two, keys sorted, everything beyond ASCII escaped, a newline at the end. The
// fields of generated types are in the order of their keys; anything else goes
// through sorted first.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out) // ends with a newline
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escapeNonASCII(out.Bytes()), nil
}

// sorted returns v as maps and lists, which are encoded in the order of their
// keys. It costs several times what encoding does, so long lists go without.
func sorted(v any) (any, error) {
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

// escapeNonASCII replaces every character beyond ASCII, which in JSON can only be
// inside a text, by its \u escape (two of them beyond the basic plane).
func escapeNonASCII(doc []byte) []byte {
	i := 0
	for i < len(doc) && doc[i] < utf8.RuneSelf {
		i++
	}
	if i == len(doc) {
		return doc
	}
	out := append(make([]byte, 0, len(doc)+len(doc)/4), doc[:i]...)
	for i < len(doc) {
		if doc[i] < utf8.RuneSelf {
			out = append(out, doc[i])
			i++
			continue
		}
		r, size := utf8.DecodeRune(doc[i:])
		i += size
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// decode reads the body of a request, which the middleware has read and checked.
func decode[T any](r *http.Request) (T, error) {
	var v T
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		return v, anchore.E(anchore.Invalid, "server.decode", "the body is not what this request takes: %s", jsonProblem(err)).Because(err)
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
