package rest

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

func FuzzReadCursor(f *testing.F) {
	for _, s := range []string{"", "AAAA", "AAAAAA", "!", "docker.io/library/alpine"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := httptest.NewRecorder()
		SetCursor(w, s)
		cursor := w.Header().Get(nextPage)
		if got, err := ReadCursor(cursor); err != nil || got != s {
			t.Errorf("ReadCursor(%q) = %q, %v, want %q", cursor, got, err, s)
		}
		if got, err := ReadCursor(s); err != nil && (got != "" || anchore.KindOf(err) != anchore.Invalid) {
			t.Errorf("ReadCursor(%q) = %q, %v, want Invalid", s, got, err)
		}
	})
}

// TestReadCursor: what no page named is no place in a list.
func TestReadCursor(t *testing.T) {
	for _, s := range []string{"AAAA", "AAAAAA", "AAAAAAA", "!", "MTIz"} {
		if got, err := ReadCursor(s); got != "" || anchore.KindOf(err) != anchore.Invalid {
			t.Errorf("ReadCursor(%q) = %q, %v, want Invalid", s, got, err)
		}
	}
}

func FuzzOptionalTime(f *testing.F) {
	for _, s := range []string{"2021-06-01", "2021-06-01T12:00:00Z", "2021-06-01T12:00:00+02:00", "2021-06-01 12:00:00.5", "yesterday"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := OptionalTime("since", &s)
		if err != nil {
			if anchore.KindOf(err) != anchore.Invalid {
				t.Errorf("OptionalTime(%q) error = %v, want Invalid", s, err)
			}
			return
		}
		if s == "" {
			return // there is none
		}
		if again, err := OptionalTime("since", new(got.Format(time.RFC3339Nano))); err != nil || !again.Equal(got) {
			t.Errorf("OptionalTime(%q) = %v reads back as %v, %v", s, got, again, err)
		}
	})
}
