package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

const jsonMedia = "application/json"

// errTooLarge and errMediaType are told apart from other refusals of a body by
// their status alone.
var (
	errTooLarge  = errors.New("rest: body too large")
	errMediaType = errors.New("rest: body of another media type")
)

// isStream reports whether a body is bytes for the handler and no JSON document
// that is read and validated before: it is of other media types than
// application/json, or of that in the format binary. An operation takes the one or
// the other.
func isStream(body *openapi3.RequestBodyRef) bool {
	if body == nil {
		return false
	}
	document := body.Value.Content[jsonMedia]
	return document == nil || document.Schema != nil && document.Schema.Value.Format == "binary"
}

// readBody makes the body of a request ready for its handler. Where an operation
// takes none it is not read: the original's client sends one with some GETs.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, op *operation) error {
	switch {
	case op.RequestBody == nil:
		r.Body = http.NoBody
		return nil
	case op.stream:
		return h.limitStream(w, r, op.RequestBody.Value)
	}
	return h.readJSON(w, r)
}

// readJSON reads a body within the limits, and puts it back for those who decode
// it.
func (h *Handler) readJSON(w http.ResponseWriter, r *http.Request) error {
	const op = "rest.readBody"
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && (err != nil || media != jsonMedia) {
		return otherMedia(r, jsonMedia)
	}
	r.Header.Set("Content-Type", jsonMedia)
	body, err := io.ReadAll(limited(w, r.Body, h.cfg.MaxBody))
	switch {
	case err != nil:
		return err
	case len(bytes.TrimSpace(body)) == 0:
		return anchore.E(anchore.Invalid, op, "the request has no body; it takes a JSON document")
	case depth(body) > h.cfg.MaxDepth:
		return anchore.E(anchore.Invalid, op, "the body has objects or lists more than %d deep inside each other", h.cfg.MaxDepth)
	}
	var document json.RawMessage
	if err := json.Unmarshal(body, &document); err != nil {
		return anchore.E(anchore.Invalid, op, "the request body is %s", jsonProblem(err)).Because(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return nil
}

// limitStream leaves a body to its handler, which reads it from the connection: it
// may be larger than what should be in memory. Its limit is the maxLength that the
// document gives the schema of its media type, else that of all bodies; reading on
// fails with an error that Fail answers as it should. A body without Content-Type
// is of the operation's media type, if that has only one.
func (h *Handler) limitStream(w http.ResponseWriter, r *http.Request, body *openapi3.RequestBody) error {
	takes := strings.Join(slices.Sorted(maps.Keys(body.Content)), ", ")
	if r.ContentLength == 0 {
		if body.Required {
			return anchore.E(anchore.Invalid, "rest.limitStream", "the request has no body; it takes %s", takes)
		}
		return nil
	}
	media := mediaType(body.Content, r.Header.Get("Content-Type"))
	if media == nil {
		return otherMedia(r, takes)
	}
	limit := h.cfg.MaxBody
	if media.Schema != nil && media.Schema.Value.MaxLength != nil {
		limit = int64(*media.Schema.Value.MaxLength)
	}
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	size := r.ContentLength
	if size < 0 { // it will turn out
		size = limit
	}
	allowTime(w, size)
	r.Body = limited(w, r.Body, limit)
	return nil
}

// mediaType is what the document says of a body's Content-Type; nil if that is not
// taken. The original's clients send "text/plain; utf-8", so parameters may be
// malformed.
func mediaType(content openapi3.Content, given string) *openapi3.MediaType {
	if given == "" && len(content) == 1 {
		for _, only := range content {
			return only
		}
	}
	media, _, err := mime.ParseMediaType(given)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return nil
	}
	return content.Get(media)
}

func otherMedia(r *http.Request, takes string) error {
	return anchore.E(anchore.Invalid, "rest.readBody", "the body's Content-Type is %.80q; this request takes %s", r.Header.Get("Content-Type"), takes).Because(errMediaType)
}

func tooLarge(limit int64) error {
	return anchore.E(anchore.Invalid, "rest.readBody", "the body is larger than %d bytes, the most that this engine takes", limit).Because(errTooLarge)
}

// limitedBody is a body whose errors are for the client.
type limitedBody struct {
	io.ReadCloser
	limit int64
}

// limited returns body, which ends with an error behind so many bytes.
func limited(w http.ResponseWriter, body io.ReadCloser, limit int64) io.ReadCloser {
	return limitedBody{http.MaxBytesReader(w, body, limit), limit}
}

// Read implements io.Reader. Errors: Invalid.
func (b limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return n, tooLarge(b.limit)
	}
	return n, anchore.E(anchore.Invalid, "rest.readBody", "the body could not be read").Because(err)
}
