package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"

	"golang.org/x/sync/errgroup"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
)

// data is a data directory as the engine has it, opened in this process.
type data struct {
	store   *bolt.Store
	catalog *catalog.Catalog
}

// password is that of the user admin.
const password = "benchmark"

// openData opens or creates the data directory.
func openData(folder string) (*data, error) {
	st, err := bolt.Open(bolt.Config{Path: filepath.Join(folder, "engine.db")})
	if err != nil {
		return nil, err
	}
	blobs, err := dir.New(dir.Config{Path: filepath.Join(folder, "blobs")})
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	cat, err := catalog.New(catalog.Config{Store: st, Blobs: blobs})
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	return &data{store: st, catalog: cat}, nil
}

// createAdmin makes the account that the engine makes at its first start.
func (d *data) createAdmin(ctx context.Context) error {
	return d.catalog.CreateAccount(ctx, anchore.Account{Name: anchore.AdminAccount, Type: anchore.AdminType, Email: "admin@myanchore"}, password)
}

// subscribe gives the account admin the subscriptions that image add makes for
// each of the tags.
func (d *data) subscribe(ctx context.Context, tags []string) error {
	return each(ctx, tags, func(ctx context.Context, tag string) error {
		for t, active := range catalog.DefaultSubscriptions() {
			s := anchore.Subscription{Account: anchore.AdminAccount, Key: tag, Type: t, Active: active}
			if _, _, err := d.catalog.AddSubscription(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls fn for many at once: writers share commits, so seeding is quick.
func each(ctx context.Context, list []string, fn func(context.Context, string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, item := range list {
		group.Go(func() error { return fn(ctx, item) })
	}
	return group.Wait()
}

// otherTag names another image than the rest in the registry of oneImage.
const otherTag = "bench/image:other"

// oneImage starts a registry on loopback in which every tag that tagNames makes
// names the same image.
func oneImage() (*httptest.Server, error) {
	registry := ocitest.NewHandler(ocitest.Config{})
	if err := registry.Put("bench/image:latest", ocitest.Image(ocitest.Spec{})); err != nil {
		return nil, err
	}
	if err := registry.Put(otherTag, ocitest.Image(ocitest.Spec{Version: "2.0.0"})); err != nil {
		return nil, err
	}
	tag := regexp.MustCompile(`^/v2/.+/(manifests/v[0-9]+|(manifests|blobs)/sha256:[0-9a-f]+)$`)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := tag.FindStringSubmatch(r.URL.Path); m != nil {
			name := m[1]
			if m[2] == "" {
				name = "manifests/latest"
			}
			r.URL.Path = "/v2/bench/image/" + name
		}
		registry.ServeHTTP(w, r)
	})), nil
}

// hostOf is the server's part of a reference.
func hostOf(s *httptest.Server) string { return s.Listener.Addr().String() }

// seedEngine makes a data directory with the tags' subscriptions.
func seedEngine(ctx context.Context, folder string, tags []string) (err error) {
	d, err := openData(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()
	if err := d.createAdmin(ctx); err != nil {
		return err
	}
	return d.subscribe(ctx, tags)
}

// tagNames are n names of tags below host, 100 to a repository.
func tagNames(host string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s/bench/app%03d:v%d", host, i/100, i%100)
	}
	return names
}
