package document

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// reports is a source that has one document for all images, and counts how often it
// was opened.
type reports struct {
	Source
	document string
	opened   atomic.Int64
}

func (r *reports) Report(context.Context, string, string) (io.ReadCloser, error) {
	r.opened.Add(1)
	return io.NopCloser(strings.NewReader(r.document)), nil
}

func newDocuments(t *testing.T, source Source) *Documents {
	t.Helper()
	h, err := rest.New(rest.Config{Document: api.Document(), Authenticate: func(r *http.Request) (*http.Request, error) { return r, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return New(h.Responder, source, nil)
}

// files is a syft document with n files.
func files(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"location":{"path":"/usr/share/doc/%06d"},"metadata":{"mode":644,"type":"RegularFile"}}`, n-i)
	}
	return `{"artifacts":[],"source":{},"files":[` + strings.Join(list, ",") + `]}`
}

// client is an answer's way to a client that takes nothing before it is told to, or
// that is gone.
type client struct {
	*httptest.ResponseRecorder
	takes <-chan struct{}
	gone  bool
	until time.Time
}

func (c *client) SetWriteDeadline(t time.Time) error { c.until = t; return nil }

func (c *client) Write(p []byte) (int, error) {
	if c.gone {
		return 0, errors.New("the client is gone")
	}
	<-c.takes
	return c.ResponseRecorder.Write(p)
}

func TestContentIsSentInPieces(t *testing.T) {
	for _, n := range []int{0, 1, 2000} {
		w := httptest.NewRecorder()
		newDocuments(t, &reports{document: files(n)}).Content(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "alice", "sha256:ab", "files")
		var got struct {
			Content     []struct{ Filename string }
			ContentType string `json:"content_type"`
			ImageDigest string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("%d files: status %d, %v", n, w.Code, err)
		}
		if len(got.Content) != n || got.ContentType != "files" || got.ImageDigest != "sha256:ab" {
			t.Errorf("%d files: %d in %q of %q", n, len(got.Content), got.ContentType, got.ImageDigest)
		}
		if n > 0 && got.Content[0].Filename != "/usr/share/doc/000001" {
			t.Errorf("%d files: the first is %q", n, got.Content[0].Filename)
		}
	}
}

func TestContentsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &reports{document: files(1)}
		d := newDocuments(t, source)
		takes := make(chan struct{})
		ask := func(ctx context.Context) (<-chan int, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			w, status := &client{ResponseRecorder: httptest.NewRecorder(), takes: takes}, make(chan int, 1)
			go func() {
				d.Content(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil), "alice", "sha256:ab", "files")
				status <- w.Code
			}()
			synctest.Wait()
			return status, cancel
		}
		var statuses []<-chan int
		for range atOnce {
			status, cancel := ask(t.Context())
			defer cancel()
			statuses = append(statuses, status)
		}
		next, cancelNext := ask(t.Context())
		defer cancelNext()
		_, leave := ask(t.Context())
		if got := source.opened.Load(); got != atOnce {
			t.Errorf("%d documents were opened at once, want %d", got, atOnce)
		}
		leave()
		close(takes)
		for _, status := range append(statuses, next) {
			if got := <-status; got != 200 {
				t.Errorf("status %d, want 200", got)
			}
		}
		synctest.Wait()
		if got := source.opened.Load(); got != atOnce+1 {
			t.Errorf("%d documents were opened, want %d: none for the client that left", got, atOnce+1)
		}
	})
}

// TestTimeToTakeAListBeginsWithItsTurn: whoever waited has as much as others, and
// nobody holds a turn for longer.
func TestTimeToTakeAListBeginsWithItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments(t, &reports{document: files(1)})
		for range atOnce {
			d.turns <- struct{}{}
		}
		go func() {
			time.Sleep(time.Hour)
			<-d.turns
		}()
		takes := make(chan struct{})
		close(takes)
		w := &client{ResponseRecorder: httptest.NewRecorder(), takes: takes}
		d.Content(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "alice", "sha256:ab", "files")
		if left := time.Until(w.until); w.Code != 200 || left <= 0 || left > 5*time.Minute {
			t.Errorf("status %d with %v left, want 200 with some minutes", w.Code, left)
		}
	})
}

// TestTurnEndsWithItsClient: one that goes away in the middle leaves room for the next.
func TestTurnEndsWithItsClient(t *testing.T) {
	d := newDocuments(t, &reports{document: files(2000)})
	for range atOnce + 1 {
		var cut any
		func() {
			defer func() { cut = recover() }()
			w := &client{ResponseRecorder: httptest.NewRecorder(), gone: true}
			d.Content(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "alice", "sha256:ab", "files")
		}()
		if diff := cmp.Diff(fmt.Sprint(http.ErrAbortHandler), fmt.Sprint(cut)); diff != "" {
			t.Errorf("the connection is not cut (-want +got):\n%s", diff)
		}
	}
	if len(d.turns) != 0 {
		t.Errorf("%d turns are still taken", len(d.turns))
	}
}

// TestTimeToTakeAConvertedDocumentBeginsWithIt, and with the error that is sent in its
// place.
func TestTimeToTakeAConvertedDocumentBeginsWithIt(t *testing.T) {
	for _, tc := range []struct {
		name   string
		text   string
		err    error
		status int
	}{{"converted", "{}", nil, 200}, {"empty", "", nil, 200}, {"failed", "", anchore.E(anchore.Unavailable, "test", "no space"), 503}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDocuments(t, &reports{document: files(1)})
				d.convert = func(_ context.Context, _ string, _ io.Reader, out io.Writer) error {
					time.Sleep(time.Hour) // it waits for its turn
					if tc.text != "" {
						_, _ = io.WriteString(out, tc.text)
					}
					return tc.err
				}
				takes := make(chan struct{})
				close(takes)
				w := &client{ResponseRecorder: httptest.NewRecorder(), takes: takes}
				d.Converted(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "alice", "sha256:ab", sbom.SPDX, "application/x")
				if left := time.Until(w.until); w.Code != tc.status || left <= 0 || left > 5*time.Minute {
					t.Errorf("status %d with %v left, want %d with some minutes", w.Code, left, tc.status)
				}
			})
		})
	}
}
