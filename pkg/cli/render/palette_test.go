package render

import "testing"

func TestPalette(t *testing.T) {
	for _, tt := range []struct {
		terminal bool
		environ  map[string]string
		want     Palette
	}{
		{true, nil, true}, {false, nil, false}, {true, map[string]string{"NO_COLOR": "1"}, false}, {true, map[string]string{"NO_COLOR": ""}, true},
		{true, map[string]string{"TERM": "dumb"}, false}, {true, map[string]string{"TERM": "xterm"}, true},
	} {
		if got := NewPalette(tt.terminal, func(name string) string { return tt.environ[name] }); got != tt.want {
			t.Errorf("newPalette(%v, %v) = %v", tt.terminal, tt.environ, got)
		}
	}
}
