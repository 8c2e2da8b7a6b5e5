package ocitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

func get(t *testing.T, method, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestImagesAreDeterministicAndVersionsDiffer(t *testing.T) {
	one, again, two := ocitest.Image(ocitest.Spec{}), ocitest.Image(ocitest.Spec{}), ocitest.Image(ocitest.Spec{Version: "2.0.0"})
	if one.Digest != again.Digest || one.Digest == two.Digest || one.Size == 0 {
		t.Errorf("digests %s, %s and %s, size %d; want the first two equal, the third not, a size", one.Digest, again.Digest, two.Digest, one.Size)
	}
	if a, b := ocitest.Attested("1", one), ocitest.Attested("2", one); a.Digest == b.Digest {
		t.Errorf("Attested: another build has the same digest %s", a.Digest)
	}
}

func TestTagMovesAndIsDeleted(t *testing.T) {
	srv := ocitest.Start(t)
	for _, a := range []ocitest.Artifact{ocitest.Image(ocitest.Spec{}), ocitest.Index(ocitest.Image(ocitest.Spec{Version: "2"})), ocitest.Image(ocitest.Spec{Docker: true})} {
		srv.Push(t, "team/app:latest", a)
		res := get(t, "HEAD", "http://"+srv.Host()+"/v2/team/app/manifests/latest")
		if got := res.Header.Get("Docker-Content-Digest"); got != a.Digest {
			t.Errorf("HEAD after push: digest %s, want %s", got, a.Digest)
		}
	}
	if n := srv.Requests("HEAD", "team/app"); n != 3 {
		t.Errorf("counted %d requests, want 3: pushes do not count", n)
	}
	if err := srv.Delete("team/app:latest"); err != nil {
		t.Fatal(err)
	}
	if res := get(t, "HEAD", "http://"+srv.Host()+"/v2/team/app/manifests/latest"); res.StatusCode != http.StatusNotFound {
		t.Errorf("HEAD after delete: status %d, want 404", res.StatusCode)
	}
}

func TestTagsArePaged(t *testing.T) {
	srv := ocitest.StartWith(t, ocitest.Config{TagsPage: 2})
	img := ocitest.Image(ocitest.Spec{})
	for _, tag := range []string{"a", "b", "c", "d"} {
		srv.Push(t, "team/app:"+tag, img)
	}
	var all []string
	for next := "/v2/team/app/tags/list"; next != ""; {
		res := get(t, "GET", "http://"+srv.Host()+next)
		var list struct{ Tags []string }
		if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		all = append(all, list.Tags...)
		next, _, _ = strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), ">")
	}
	if got := strings.Join(all, " "); got != "a b c d" {
		t.Errorf("tags %q, want a b c d", got)
	}
}
