package rest

import (
	"encoding/json"
	"time"
)

// The original's forms of a time: of records, and of events.
const (
	recordForm = "2006-01-02T15:04:05Z"
	eventForm  = "2006-01-02T15:04:05.000000Z"
)

// RecordTime is a time as records have it: whole seconds, UTC.
func RecordTime(t time.Time) string { return t.UTC().Format(recordForm) }

// EventTime is a time as events have it: microseconds, UTC.
func EventTime(t time.Time) string { return t.UTC().Format(eventForm) }

// RecordTimeOrNull is null for the zero time.
func RecordTimeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(RecordTime(t))
}

// SecondsOrNull is the time in seconds since 1970, null for the zero time.
func SecondsOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.Unix())
}

// TextOrNull is null for the empty text.
func TextOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Given is the value of an optional parameter or property, or its zero value.
func Given[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// OptionalText is a property that may be a text, null, or absent, where the last two
// differ.
type OptionalText struct {
	there bool
	text  string // "" for null
}

// UnmarshalJSON implements json.Unmarshaler. It is called for what is there, null too.
func (t *OptionalText) UnmarshalJSON(data []byte) error {
	t.there = true
	return json.Unmarshal(data, &t.text) // null leaves the empty text
}

// Given is nil for what is absent, and the empty text for null.
func (t OptionalText) Given() *string {
	if !t.there {
		return nil
	}
	return &t.text
}
