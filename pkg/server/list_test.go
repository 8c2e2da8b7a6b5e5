package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// manySubscriptions is a catalog with more subscriptions than are read at once,
// the last of which it may fail to read.
type manySubscriptions struct {
	Catalog
	n    int
	fail bool
}

func (m manySubscriptions) Subscriptions(_ context.Context, account string, _ catalog.SubscriptionFilter, after string, limit int) (list []anchore.Subscription, next string, err error) {
	first := 0
	if after != "" {
		if _, err := fmt.Sscan(after, &first); err != nil {
			return nil, "", err
		}
	}
	last := min(first+limit, m.n)
	if m.fail && last == m.n {
		return nil, "", errors.New("the disk is gone")
	}
	for i := first; i < last; i++ {
		list = append(list, m.subscription(account, i))
	}
	if last < m.n {
		next = fmt.Sprint(last)
	}
	return list, next, nil
}

func (m manySubscriptions) subscription(account string, i int) anchore.Subscription {
	at := time.Unix(int64(i), 0)
	return anchore.Subscription{Account: account, Key: fmt.Sprintf("docker.io/library/é:%d", i), Type: anchore.TagUpdate, CreatedAt: at, UpdatedAt: at}
}

func TestLongListIsSentInPieces(t *testing.T) {
	for _, n := range []int{0, 1, 10, subscriptionsAtOnce, 2*subscriptionsAtOnce + 1} {
		many := manySubscriptions{n: n}
		f := newFixture(t, func(c *Config) { many.Catalog, c.Catalog = c.Catalog, &many })
		records := []api.Subscription{}
		for i := range n {
			records = append(records, subscriptionRecord(many.subscription("alice", i), nil))
		}
		want, err := rest.Encode(records)
		if err != nil {
			t.Fatal(err)
		}
		res, body, err := f.raw("alice", "/subscriptions")
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" || !bytes.Equal(body, want) {
			t.Errorf("%d subscriptions: status %d, %s, %d bytes; want what Encode makes of them, %d bytes", n, res.StatusCode, res.Header.Get("Content-Type"), len(body), len(want))
		}
		if whole := res.ContentLength == int64(len(want)); whole != (len(want) < rest.ListChunk) {
			t.Errorf("%d subscriptions, %d bytes: Content-Length %d", n, len(want), res.ContentLength)
		}
	}
}

// TestBrokenListIsNoList: a client must be able to tell.
func TestBrokenListIsNoList(t *testing.T) {
	many := manySubscriptions{n: subscriptionsAtOnce + 1, fail: true}
	f := newFixture(t, func(c *Config) { many.Catalog, c.Catalog = c.Catalog, &many })
	res, body, err := f.raw("alice", "/subscriptions")
	if err == nil {
		t.Fatalf("status %d and %d bytes without an error, want a cut connection", res.StatusCode, len(body))
	}
	many.n = 1
	res, body, err = f.raw("alice", "/subscriptions")
	if err != nil || res.StatusCode != 500 {
		t.Errorf("nothing sent yet: %v, %s, want status 500", err, cmp.Diff("", string(body)))
	}
}

// raw makes a GET request and reads the answer without checking it.
func (f *fixture) raw(user, path string) (*http.Response, []byte, error) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.SetBasicAuth(user, user+"-password")
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}
