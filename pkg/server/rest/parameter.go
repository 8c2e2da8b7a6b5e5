package rest

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"net/http"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// nextPage is the header that names the page after the one answered.
const nextPage = "X-Next-Page"

// SetCursor names the next page; "" is none. A cursor is the catalog's own token and
// a sum that tells it from what a client made up, in letters that a URL can hold.
func SetCursor(w http.ResponseWriter, token string) {
	if token != "" {
		cursor := binary.BigEndian.AppendUint32([]byte(token), crc32.ChecksumIEEE([]byte(token)))
		w.Header().Set(nextPage, base64.RawURLEncoding.EncodeToString(cursor))
	}
}

// ReadCursor returns the token of a cursor; "" is the first page. Errors: Invalid.
func ReadCursor(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	end := len(text) - crc32.Size
	if err != nil || end <= 0 || crc32.ChecksumIEEE(text[:end]) != binary.BigEndian.Uint32(text[end:]) {
		return "", anchore.E(anchore.Invalid, "rest.ReadCursor", "page must be what the header %s of the page before said", nextPage).Because(err)
	}
	return string(text[:end]), nil
}

// Page reads the parameters of a numbered page: its number, the first if there is
// none, and how many entries it has at most: usual if nothing is said, never more
// than most. Limits and texts are the original's. Errors: Invalid.
func Page(number, limit *int, usual, most int) (page, entries int, err error) {
	page, entries = 1, usual
	if number != nil {
		page = *number
	}
	if limit != nil {
		entries = *limit
	}
	switch {
	case page < 1 || page > math.MaxInt32/most: // so that page times entries cannot overflow
		err = anchore.E(anchore.Invalid, "rest.Page", "page must be a valid integer greater than 0")
	case entries < 1 || entries > most:
		err = anchore.E(anchore.Invalid, "rest.Page", "limit must be valid integer between 1 and %d", most)
	}
	return page, entries, err
}

// OptionalTime reads a time of a query: RFC 3339, or the same without zone (then
// UTC), or a date alone; the zero time if there is none. Errors: Invalid, naming
// the parameter.
func OptionalTime(parameter string, value *string) (time.Time, error) {
	if value == nil || *value == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(form, *value); err == nil {
			if t.IsZero() {
				t = t.Add(1) // it was given: a filter by it must not select everything
			}
			return t.UTC(), nil
		}
	}
	return time.Time{}, anchore.E(anchore.Invalid, "rest.OptionalTime",
		"Invalid value for %s query parameter, must be valid datetime string, e.g. 2021-06-01T12:00:00Z or 2021-06-01", parameter)
}
