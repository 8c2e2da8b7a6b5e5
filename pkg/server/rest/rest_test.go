package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// things is a small API: JSON, a route for everybody, and streams of several kinds.
const things = `
openapi: 3.0.3
info: {title: things, version: "1"}
security: [{basic: []}]
paths:
  /open:
    get: {operationId: open, security: [], responses: {"200": {description: "yes"}}}
  /things:
    post:
      operationId: addThing
      parameters: [{name: loud, in: query, schema: {type: boolean}}]
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [name], properties: {name: {type: string}}}}}
      responses: {"200": {description: "yes"}}
  /things/{id}/note:
    post: &stream
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: loud, in: query, schema: {type: boolean}}
      requestBody:
        required: true
        content: {text/plain: {schema: {type: string, maxLength: 40}}}
      responses: {"200": {description: "yes"}}
  /things/{id}/manifest:
    post:
      <<: *stream
      requestBody:
        content:
          application/vnd.oci.image.manifest.v1+json: {schema: {type: object}}
          application/vnd.docker.distribution.manifest.v2+json: {schema: {type: object, maxLength: 4}}
  /things/{id}/packages:
    post:
      <<: *stream
      requestBody:
        required: true
        content: {application/json: {schema: {type: string, format: binary, maxLength: 104857600}}}
  /things/{id}/config:
    post:
      <<: *stream
      requestBody: {content: {"*/*": {}}}
components: {securitySchemes: {basic: {type: http, scheme: basic}}}
`

// newThings builds a Handler of things, whose bodies are at most 20 bytes if the
// document does not say otherwise, and whose routes are served by handle. Callers
// have any password; the user "locked" may do nothing.
func newThings(t *testing.T, handle http.HandlerFunc, extra ...Extra) *Handler {
	t.Helper()
	h, err := New(Config{Document: []byte(things), Extra: extra, MaxBody: 20, MaxDepth: 2, Authenticate: func(r *http.Request) (*http.Request, error) {
		user, _, ok := r.BasicAuth()
		switch {
		case !ok:
			return nil, anchore.E(anchore.Unauthorized, "test", "who are you?")
		case user == "locked":
			return nil, anchore.E(anchore.Forbidden, "test", "not you")
		}
		return r, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	options := h.Options()
	for operation := range h.document.operations {
		options.BaseRouter.HandleFunc(operation, options.Middlewares[0](handle).ServeHTTP)
	}
	return h
}

// echo answers with the body, or with why it cannot be read.
func echo(h **Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		(*h).Send(w, r, string(body), err)
	}
}

func TestChecksAreInOrder(t *testing.T) {
	var h *Handler
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") })
	h = newThings(t, echo(&h), Extra{Path: "/metrics", Handler: metrics}, Extra{Path: "/free", Handler: metrics, Open: true})
	unread := iotest.ErrReader(errors.New("the body was read"))
	for _, tt := range []struct {
		name, user, request string
		body                io.Reader
		status              int
		says                string
	}{
		{"stranger", "", "POST /v1/things", unread, 401, "Unauthorized"},
		{"stranger with a stream", "", "POST /v1/things/1/note", unread, 401, "Unauthorized"},
		{"stranger elsewhere", "", "GET /nowhere", nil, 401, "Unauthorized"},
		{"stranger with another method", "", "PUT /things", nil, 401, "Unauthorized"},
		{"stranger at an open route", "", "GET /v1/open", nil, 200, `""`},
		{"refused", "locked", "POST /v1/things", unread, 403, "not you"},
		{"nowhere", "alice", "GET /nowhere", unread, 404, "nothing at this path"},
		{"another method", "alice", "PUT /things", unread, 405, "this path allows POST"},
		{"query that cannot be read", "alice", "POST /things?loud=%zz", unread, 400, `(invalid URL escape \"%zz\")`},
		{"query with a semicolon", "alice", "POST /things?loud=true;b=1", unread, 400, "semicolon"},
		{"stranger with such a query", "", "POST /things?loud=%zz", unread, 401, "Unauthorized"},
		{"body before parameters", "alice", "POST /things?loud=maybe", strings.NewReader("{"), 400, "not valid JSON"},
		{"parameters before schema", "alice", "POST /things?loud=maybe", strings.NewReader("{}"), 400, `parameter \"loud\"`},
		{"schema", "alice", "POST /things?loud=True", strings.NewReader("{}"), 400, `property \"name\" is missing`},
		{"valid", "alice", "POST /things?loud=True", strings.NewReader(`{"name":"x"}`), 200, `"{\"name\":\"x\"}"`},
		{"stranger at metrics", "", "GET /metrics/", nil, 401, "Unauthorized"},
		{"metrics", "alice", "GET /metrics/", nil, 200, "metrics"},
		{"metrics have no version", "alice", "GET /v1/metrics", nil, 404, "nothing at this path"},
		{"open beside the document", "", "GET /free", nil, 200, "metrics"},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, tt.body)
		if tt.user != "" {
			r.SetBasicAuth(tt.user, "password")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: %s = %d, want %d and %q in\n%s", tt.name, tt.request, w.Code, tt.status, tt.says, w.Body)
		}
	}
}

func TestStreamsAreLimitedAndNotValidated(t *testing.T) {
	var h *Handler
	h = newThings(t, echo(&h))
	const oci, docker = "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"
	for _, tt := range []struct {
		name, path, media, body string
		chunked                 bool // of no declared length
		status                  int
		says                    string
	}{
		{name: "longer than other bodies", path: "note", media: "text/plain", body: strings.Repeat("x", 40), status: 200, says: strings.Repeat("x", 40)},
		{name: "declared too long", path: "note", media: "text/plain", body: strings.Repeat("x", 41), status: 413, says: "larger than 40 bytes"},
		{name: "turns out too long", path: "note", media: "text/plain", body: strings.Repeat("x", 41), chunked: true, status: 413, says: "larger than 40 bytes"},
		{name: "no limit of its own", path: "manifest", media: oci, body: strings.Repeat("x", 21), status: 413, says: "larger than 20 bytes"},
		{name: "limit of its media type", path: "manifest", media: docker, body: "12345", status: 413, says: "larger than 4 bytes"},
		{name: "no JSON", path: "manifest", media: oci, body: "[[[[{", status: 200, says: "[[[[{"},
		{name: "binary JSON", path: "packages", media: "application/json", body: strings.Repeat("[", 50), status: 200, says: strings.Repeat("[", 50)},
		{name: "another media type", path: "manifest", media: "application/json", body: "{}", status: 415, says: docker + ", " + oci},
		{name: "not a media type", path: "note", media: "text", body: "x", status: 415, says: "text/plain"},
		{name: "the original's media type", path: "note", media: "text/plain; utf-8", body: "x", status: 200, says: "x"},
		{name: "the only media type", path: "note", body: "x", status: 200, says: "x"},
		{name: "one of several media types", path: "manifest", body: "x", status: 415, says: oci},
		{name: "any media type", path: "config", media: "application/x-thing", body: "x", status: 200, says: "x"},
		{name: "none is any media type", path: "config", body: "x", status: 200, says: "x"},
		{name: "nothing", path: "note", media: "text/plain", status: 400, says: "no body; it takes text/plain"},
		{name: "nothing where that may be", path: "config", status: 200, says: `""`},
		{name: "parameter", path: "note?loud=maybe", media: "text/plain", body: "x", status: 400, says: `parameter \"loud\"`},
	} {
		var body io.Reader = strings.NewReader(tt.body)
		if tt.chunked {
			body = io.MultiReader(body)
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/things/1/"+tt.path, body)
		r.SetBasicAuth("alice", "password")
		if tt.media != "" {
			r.Header.Set("Content-Type", tt.media)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: %d, want %d and %q in\n%s", tt.name, w.Code, tt.status, tt.says, w.Body)
		}
	}
}

// TestStreamReachesItsHandlerAsItComes: the client sends on only when the handler
// has read what it sent.
func TestStreamReachesItsHandlerAsItComes(t *testing.T) {
	const pieces, piece = 100, 64 << 10
	var n atomic.Int64
	read := make(chan bool, 1)
	h := newThings(t, func(_ http.ResponseWriter, r *http.Request) {
		defer close(read)
		buf := make([]byte, piece)
		for {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				return
			}
			n.Add(1)
			read <- true
		}
	})
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = HTTPServer(h, nil)
	listening.Start()
	t.Cleanup(listening.Close)

	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", listening.URL+"/v1/things/1/packages", in)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("alice", "password")
	r.Header.Set("Content-Type", "application/json")
	go func() {
		for range pieces {
			if _, err := out.Write(bytes.Repeat([]byte("x"), piece)); err != nil {
				return // the request failed
			}
			select {
			case <-read:
			case <-r.Context().Done():
				return
			}
		}
		_ = out.Close() // a pipe's end never fails
	}()
	client := http.Client{Timeout: 20 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || n.Load() != pieces {
		t.Errorf("status %d after %d pieces, want 200 after %d", resp.StatusCode, n.Load(), pieces)
	}
}

// deadlines is a connection that notes its deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// TestLongStreamHasItsTime: a minute is for the bodies of other requests.
func TestLongStreamHasItsTime(t *testing.T) {
	var h *Handler
	h = newThings(t, echo(&h))
	for _, tt := range []struct {
		path        string
		size        int64 // as declared; -1 if not
		read, write time.Duration
	}{
		{"/things/1/packages", 100 << 20, requestTime + 400*time.Second, requestTime + 400*time.Second + answerTime},
		{"/things/1/packages", -1, requestTime + 400*time.Second, requestTime + 400*time.Second + answerTime},
		{"/things/1/packages", 15, requestTime, requestTime + answerTime},
		{"/things", 15, 0, 0}, // the server's own
	} {
		synctest.Test(t, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "POST", tt.path, strings.NewReader(`{"name":"long"}`))
			r.SetBasicAuth("alice", "password")
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = tt.size
			w := &deadlines{ResponseRecorder: httptest.NewRecorder(), read: time.Now(), write: time.Now()}
			h.ServeHTTP(w, r)
			if read, write := time.Until(w.read), time.Until(w.write); read != tt.read || write != tt.write {
				t.Errorf("%s, %d bytes: %v to read, %v to write; want %v, %v", tt.path, tt.size, read, write, tt.read, tt.write)
			}
		})
	}
}

func TestFileIsAnErrorUntilItsFirstByte(t *testing.T) {
	s := newThings(t, http.NotFound).Responder
	for _, tt := range []struct {
		name, text string
		err        error
		status     int
		aborted    bool
	}{
		{"whole", "text", nil, 200, false},
		{"empty", "", nil, 200, false},
		{"not begun", "", anchore.E(anchore.NotFound, "test", "there is none"), 404, false},
		{"broken off", "te", errors.New("the disk is gone"), 200, true},
	} {
		w := httptest.NewRecorder()
		aborted := func() (aborted bool) {
			defer func() { aborted = recover() == http.ErrAbortHandler }()
			f := s.File(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "application/x-thing", "thing")
			if tt.text != "" {
				if _, err := io.WriteString(f, tt.text); err != nil {
					t.Fatal(err)
				}
			}
			f.End(tt.err)
			return false
		}()
		if w.Code != tt.status || aborted != tt.aborted {
			t.Errorf("%s: status %d, aborted %v; want %d, %v", tt.name, w.Code, aborted, tt.status, tt.aborted)
		}
		if got := w.Header().Get("Content-Type") == "application/x-thing"; got != (tt.status == 200) {
			t.Errorf("%s: Content-Type %q", tt.name, w.Header().Get("Content-Type"))
		}
	}
}

func TestNewWantsDocumentAndAuthentication(t *testing.T) {
	who := func(r *http.Request) (*http.Request, error) { return r, nil }
	errs := map[string]bool{}
	for name, cfg := range map[string]Config{
		"nothing": {}, "no document": {Authenticate: who}, "no authentication": {Document: []byte(things)},
		"no OpenAPI": {Document: []byte("x"), Authenticate: who}, "all": {Document: []byte(things), Authenticate: who},
	} {
		_, err := New(cfg)
		errs[name] = err != nil
	}
	want := map[string]bool{"nothing": true, "no document": true, "no authentication": true, "no OpenAPI": true, "all": false}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Errorf("New() fails (-want +got):\n%s", diff)
	}
}
