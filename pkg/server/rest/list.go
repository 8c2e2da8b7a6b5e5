package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// listEncoder is Encode for a list that is made element by element: a long one is
// never in memory in its compact form too. The zero value is an empty list.
type listEncoder struct {
	out     []byte // the list so far, without its end
	n       int    // elements
	depth   int    // objects around it
	tail    []byte // what follows its end, if there is one around it
	compact bytes.Buffer
	enc     *json.Encoder
}

// add appends an element; v is a pointer to it.
func (l *listEncoder) add(v any) error {
	if l.enc == nil {
		l.enc = json.NewEncoder(&l.compact)
		l.enc.SetEscapeHTML(false)
	}
	l.compact.Reset()
	if err := l.enc.Encode(v); err != nil {
		return err
	}
	if l.n == 0 {
		l.out = append(l.out, '[')
	} else {
		l.out = append(l.out, ',')
	}
	l.n++
	l.out = indent(newLine(l.out, l.depth+1), l.compact.Bytes(), l.depth+1)
	return nil
}

// end returns the list, or what was added since out was last emptied, with its
// end.
func (l *listEncoder) end() []byte {
	if l.n == 0 {
		l.out = append(l.out, '[', ']')
	} else {
		l.out = append(newLine(l.out, l.depth), ']')
	}
	if l.depth == 0 {
		return append(l.out, '\n')
	}
	return append(l.out, l.tail...)
}

// within puts the list, to which nothing was added yet, into an object, as the
// property name before the others, of which there is at least one.
func (l *listEncoder) within(name string, others map[string]string) {
	rest, _ := Encode(others) // texts can always be encoded
	l.out = append(l.out, "{\n  \""+name+"\": "...)
	l.depth, l.tail = 1, append([]byte{','}, rest[1:]...) // without its brace
}

// ListChunk is how many bytes of a list are sent at once.
const ListChunk = 64 << 10

// List answers with a list while it is made, so that a long one is never in
// memory as a whole. A short one is sent as other answers are, with its length.
type List struct {
	responder *Responder
	w         http.ResponseWriter
	r         *http.Request
	list      listEncoder
	sent      bool // the beginning
}

// List begins to answer with a list.
func (s *Responder) List(w http.ResponseWriter, r *http.Request) *List {
	return &List{responder: s, w: w, r: r}
}

// ListIn begins to answer with an object that has the list as its property name. Its
// others, one at least, must come after that in the alphabet.
func (s *Responder) ListIn(w http.ResponseWriter, r *http.Request, name string, others map[string]string) *List {
	l := s.List(w, r)
	l.list.within(name, others)
	return l
}

// Add appends an element; v is a pointer to it. Errors: of encoding, and that the
// client is gone.
func (l *List) Add(v any) error {
	if err := l.list.add(v); err != nil || len(l.list.out) < ListChunk {
		return err
	}
	if !l.sent {
		l.sent = true
		l.w.Header().Set("Content-Type", "application/json")
		l.w.WriteHeader(http.StatusOK)
	}
	_, err := l.w.Write(l.list.out)
	l.list.out = l.list.out[:0]
	return err
}

// End sends what is left.
func (l *List) End() {
	rest := l.list.end()
	if !l.sent {
		writeJSON(l.w, http.StatusOK, rest)
		return
	}
	_, _ = l.w.Write(rest) // the client is gone if this fails
}

// Fail answers with the error. If the beginning of the list is sent already, it
// cuts the connection: an end would make the client believe that it has the list.
func (l *List) Fail(err error) {
	if !l.sent {
		l.responder.Fail(l.w, l.r, err)
		return
	}
	if l.r.Context().Err() == nil {
		l.responder.log.Error("a list was cut off", "route", l.r.Pattern, "request_id", requestID(l.r.Context()), "err", err)
	}
	panic(http.ErrAbortHandler)
}
