package server

import (
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// The original's forms of a time: of records, and of events.
const (
	recordForm = "2006-01-02T15:04:05Z"
	eventForm  = "2006-01-02T15:04:05.000000Z"
)

func recordTime(t time.Time) string { return t.UTC().Format(recordForm) }

func eventTime(t time.Time) string { return t.UTC().Format(eventForm) }

// recordTimeOrNull is null for the zero time.
func recordTimeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(recordTime(t))
}

// secondsOrNull is the time in seconds since 1970, null for the zero time.
func secondsOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.Unix())
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// parseTime reads a time of a query: RFC 3339, or the same without zone (then
// UTC), or a date alone. Errors: Invalid, naming the parameter.
func parseTime(parameter, s string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, anchore.E(anchore.Invalid, "server.parseTime",
		"Invalid value for %s query parameter, must be valid datetime string, e.g. 2021-06-01T12:00:00Z or 2021-06-01", parameter)
}
