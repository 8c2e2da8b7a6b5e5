package session

import (
	"strings"
	"testing"
)

// The port that a URL does not name is the one that was asked, and a password in clear
// text is not advised without a word.
func TestWrongScheme(t *testing.T) {
	for _, tt := range []struct{ root, scheme, want string }{
		{"https://engine.example/v1", "http", "give this URL: --url http://engine.example:443/v1 (or in ANCHORE_CLI_URL); the password is then sent without encryption"},
		{"http://[::1]/v1", "https", "give this URL: --url https://[::1]:80/v1 (or in ANCHORE_CLI_URL)"},
		{"https://localhost:8228/v1/", "http", "give this URL: --url http://localhost:8228/v1/ (or in ANCHORE_CLI_URL)"},
	} {
		f := (&Client{Root: tt.root}).wrongScheme(tt.scheme, nil)
		if got := strings.Join(f.hints, "\n"); got != tt.want {
			t.Errorf("wrongScheme(%s) of %s hints\n%s\nwant\n%s", tt.scheme, tt.root, got, tt.want)
		}
	}
}
