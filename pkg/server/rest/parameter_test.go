package rest

import (
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

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
