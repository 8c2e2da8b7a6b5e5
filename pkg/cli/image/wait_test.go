package image

import "testing"

func TestLiveLine(t *testing.T) {
	for _, tt := range []struct {
		text    string
		share   float64
		columns int
		want    string
	}{
		{"storing", 1, 79, "[##############################] storing"},
		{"fetching", 0.5, 23, "[######      ] fetching"},
		{"fetching", 0.5, 20, "fetching"},
		{"waits: häßlich", -1, 9, "waits: hä"},
		{"waits", -1, 79, "waits"},
	} {
		if got := liveLine(tt.text, tt.share, tt.columns); got != tt.want {
			t.Errorf("liveLine(%q, %v, %d) = %q; want %q", tt.text, tt.share, tt.columns, got, tt.want)
		}
	}
}
