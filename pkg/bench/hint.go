package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
)

const (
	hintMoves = 300
	hintTag   = "bench/app:latest"
)

// arrival is a notification that reached the receiver.
type arrival struct {
	at    time.Time
	after string // the digest that the tag names now
}

// receive answers a webhook request at once and passes on when it came.
func receive(arrivals chan<- arrival) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		var body struct {
			Data struct {
				Payload struct {
					After string `json:"digest_after"`
				} `json:"notification_payload"`
			} `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		arrivals <- arrival{at, body.Data.Payload.After}
	}
}

// measureHint measures the way from a registry's "I was pushed to" to the
// receiver's request.
func measureHint(ctx context.Context, dir string, bin binaries) (section, error) {
	registry, err := ocitest.New(ocitest.Config{})
	if err != nil {
		return section{}, err
	}
	defer func() { _ = registry.Close() }()
	arrivals := make(chan arrival, 16)
	receiver := httptest.NewServer(receive(arrivals))
	defer receiver.Close()
	config := "webhooks:\n  tag_update:\n    url: '" + receiver.URL + "/tag_update/<userId>'\n"
	p, err := startEngine(ctx, bin.engine, filepath.Join(dir, "data"), config)
	if err != nil {
		return section{}, err
	}
	defer func() { _ = p.stop() }()
	took, err := moves(ctx, p, registry, arrivals)
	if err != nil {
		return section{}, err
	}
	commit, err := commitTime(ctx, dir)
	if err != nil {
		return section{}, err
	}
	return section{
		title: "From a push to the webhook",
		results: []result{
			{what: "from the hint's request to the receiver's, p50", figure: short(took.median())},
			{what: "p99", figure: short(took.at(0.99))},
			{what: "greatest", figure: short(took.at(1))},
			{what: "one commit to a store on this disk", figure: commit.String()},
		},
		notes: fmt.Sprintf(`
%d times: a tag is moved to another image in the registry, the hint is posted to
/system/hints, the time ends when the receiver has the tag_update. The engine is the
built program, registry and receiver are on loopback. The images are analyzed
already. On the way are a HEAD, a GET of the manifest and one of the configuration,
and the commits of the move, of its notification and of the delivery's start.`, hintMoves),
	}, nil
}

// moves moves the tag to and fro and times each notification.
func moves(ctx context.Context, p *process, r *ocitest.Registry, arrivals <-chan arrival) (sample, error) {
	images := []ocitest.Artifact{ocitest.Image(ocitest.Spec{Version: "1.0.0"}), ocitest.Image(ocitest.Spec{Version: "2.0.0"})}
	for i, name := range []string{"bench/second:latest", hintTag} { // the tag itself begins with the first
		if err := r.Put(name, images[1-i]); err != nil {
			return nil, err
		}
		if err := p.analyze(ctx, r.Host()+"/"+name); err != nil {
			return nil, err
		}
	}
	if err := untilWatched(ctx, p, r.Host()+"/"+hintTag); err != nil {
		return nil, err
	}
	var took sample
	for i := range hintMoves {
		image := images[(i+1)%2]
		if err := r.Put(hintTag, image); err != nil {
			return nil, err
		}
		start := time.Now()
		if err := p.call(ctx, http.MethodPost, "/system/hints", map[string]string{"tag": r.Host() + "/" + hintTag}, nil); err != nil {
			return nil, err
		}
		select {
		case a := <-arrivals:
			if a.after != image.Digest {
				return nil, fmt.Errorf("move %d: told of %s, want %s", i, a.after, image.Digest)
			}
			took = append(took, a.at.Sub(start))
		case <-time.After(patience):
			return nil, fmt.Errorf("move %d: no notification", i)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return took, nil
}

// untilWatched waits until the engine takes hints for the tag.
func untilWatched(ctx context.Context, p *process, tag string) error {
	for start := time.Now(); time.Since(start) < patience; {
		var answer struct {
			Accepted bool `json:"accepted"`
		}
		err := p.call(ctx, http.MethodPost, "/system/hints", map[string]string{"tag": tag}, &answer)
		if err != nil || answer.Accepted {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is not watched", strings.TrimSpace(tag))
}

// commitTime is what one lone durable write costs here.
func commitTime(ctx context.Context, dir string) (sample, error) {
	s, err := bolt.Open(bolt.Config{Path: filepath.Join(dir, "commit", "store.db")})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	var took sample
	for i := range 200 {
		start := time.Now()
		err := s.Update(ctx, func(tx store.Tx) error {
			return tx.Put("bench", []byte{1, byte(i)}, []byte("value"))
		})
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}
