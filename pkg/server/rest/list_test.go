package rest

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListInIsWhatEncodeMakesOfTheObject(t *testing.T) {
	s := newThings(t, nil).Responder
	for _, n := range []int{0, 1, 3, 3000} {
		elements := []json.RawMessage{}
		for i := range n {
			elements = append(elements, json.RawMessage(fmt.Sprintf(`{"é<&>":%d,"list":[{}],"none":[]}`, i)))
		}
		others := map[string]string{"type": "é", "imageDigest": "sha256:ab"}
		want, err := Encode(map[string]any{"content": elements, "type": others["type"], "imageDigest": others["imageDigest"]})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		list := s.ListIn(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "content", others)
		for i := range elements {
			if err := list.Add(&elements[i]); err != nil {
				t.Fatal(err)
			}
		}
		list.End()
		if diff := cmp.Diff(strings.SplitAfter(string(want), "\n"), strings.SplitAfter(w.Body.String(), "\n")); diff != "" {
			t.Errorf("%d elements (-want +got):\n%s", n, diff)
		}
		if known := w.Header().Get("Content-Length") == fmt.Sprint(len(want)); known != (len(want) < ListChunk) {
			t.Errorf("%d elements, %d bytes: Content-Length %q", n, len(want), w.Header().Get("Content-Length"))
		}
	}
}
