package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// An import that is interrupted is given up, wherever it was: the engine has room for
// few that are open.
func TestInterruptedImportIsGivenUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.json")
	if err := os.WriteFile(file, []byte(`{"source":{"metadata":{"manifestDigest":"sha256:a","manifest":"bQ==","config":"Yw==","tags":["t"]}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	documents := []string{"POST /v1/imports/images/op/packages", "POST /v1/imports/images/op/manifest", "POST /v1/imports/images/op/image_config"}
	for _, tt := range []struct {
		at   string // the request that the interrupt comes in
		want []string
	}{
		{"POST /v1/imports/images", nil},
		{documents[0], documents[:1]},
		{documents[2], documents},
		{"POST /v1/images", append(documents[:3:3], "POST /v1/images")},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			request := r.Method + " " + r.URL.Path
			asked = append(asked, request)
			if request == tt.at {
				interrupt()
			}
			if request == tt.at && tt.want != nil {
				<-r.Context().Done() // until the program has left
				return
			}
			w.Write([]byte(`{"uuid":"op","digest":"d"}`))
		}))
		var out, talk bytes.Buffer
		code := Main(ctx, session.Config{Args: []string{"--url", server.URL + "/v1", "image", "import", "--infile", file}, In: strings.NewReader(""), Out: &out, Err: &talk})
		server.Close()
		if code != 1 || out.String() != "" || talk.String() != "\nAborted!\n" {
			t.Errorf("interrupted in %s: code %d, %q %q", tt.at, code, out.String(), talk.String())
		}
		want := append(append([]string{"POST /v1/imports/images"}, tt.want...), "DELETE /v1/imports/images/op")
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("interrupted in %s: requests (-want +got):\n%s", tt.at, diff)
		}
	}
}
