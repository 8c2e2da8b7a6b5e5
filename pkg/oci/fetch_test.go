package oci

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// trickle is a registry whose layers come in pieces with pauses.
type trickle struct {
	piece int
	pause time.Duration
}

func (s trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: slowly{s, r}, Request: r}, nil
}

// TestLayersThatWaitAreNotSlow: a layer that waits for others of its registry is not
// given up.
func TestLayersThatWaitAreNotSlow(t *testing.T) {
	layer := v1.Descriptor{Size: 8 << 20, Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}}
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{Transport: trickle{30_000, 700 * time.Millisecond}, Concurrency: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ref := anchore.Reference{Registry: "127.0.0.1:1", Repository: "app"}
		var all sync.WaitGroup
		for i := range 3 {
			path := filepath.Join(t.TempDir(), fmt.Sprint("layer", i))
			all.Go(func() {
				err := c.download(t.Context(), "admin", ref, layer, path, func(int64) {})
				if !strings.Contains(anchore.MessageOf(err), "cut or altered") { // it came, and is not what was asked for
					t.Errorf("layer %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

// TestConfigurationsDoNotWaitForLayers: what is short comes while all that may be
// fetched at once is.
func TestConfigurationsDoNotWaitForLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{Transport: trickle{30_000, 700 * time.Millisecond}, Concurrency: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := request{Question: answer.Question{Op: "test", Ref: anchore.Reference{Registry: "127.0.0.1:1", Repository: "app"}, Path: "blobs/sha256:ab"}}
		r.layer = true
		held, err := c.do(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Body.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.do(ctx, r); anchore.KindOf(err) != anchore.Unavailable || !strings.Contains(anchore.MessageOf(err), "in time") {
			t.Errorf("a second layer: %v, want that it did not come in time", err)
		}
		r.layer = false
		config, err := c.do(t.Context(), r)
		if err != nil {
			t.Fatalf("a configuration: %v", err)
		}
		_ = config.Body.Close()
	})
}

// slowly is the body of a layer. It goes on until nobody listens.
type slowly struct {
	trickle
	r *http.Request
}

func (b slowly) Read(p []byte) (int, error) {
	select {
	case <-time.After(b.pause):
		return min(b.piece, len(p)), nil
	case <-b.r.Context().Done():
		return 0, b.r.Context().Err()
	}
}

func (slowly) Close() error { return nil }

// TestDownloadGivesUpOnATrickle: a registry that sends single bytes does not hold a
// worker, and a slow one is waited for.
func TestDownloadGivesUpOnATrickle(t *testing.T) {
	layer := v1.Descriptor{Size: 8 << 20, Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)}}
	for _, tt := range []struct {
		name  string
		piece int
		pause time.Duration
		least time.Duration
		most  time.Duration
		kind  anchore.Kind
		says  string
	}{
		{"silent", 0, time.Hour, 30 * time.Second, 31 * time.Second, anchore.Unavailable, "sends too slowly"},
		{"single bytes", 1, time.Second, 30 * time.Second, 31 * time.Second, anchore.Unavailable, "sends too slowly"},
		{"43 kB a second", 30_000, 700 * time.Millisecond, 3 * time.Minute, 5 * time.Minute, anchore.Unavailable, "cut or altered"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(Config{Transport: trickle{tt.piece, tt.pause}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ref := anchore.Reference{Registry: "127.0.0.1:1", Repository: "app"}
			start := time.Now()
			err = c.download(t.Context(), "admin", ref, layer, filepath.Join(t.TempDir(), "layer"), func(int64) {})
			took := time.Since(start)
			if anchore.KindOf(err) != tt.kind || !strings.Contains(anchore.MessageOf(err), tt.says) || took < tt.least || took > tt.most {
				t.Errorf("%s: after %v: %v; want %v with %q after %v", tt.name, took, err, tt.kind, tt.says, tt.least)
			}
		})
	}
}
