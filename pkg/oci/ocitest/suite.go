package ocitest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Resolver is the contract. Head returns the digest of the document that a tag
// names; Resolve returns the image for a platform, verified against its digests;
// ListTags returns a repository's tags, sorted, each once. Errors are of the kinds
// Unauthorized, Forbidden, NotFound, Limited (with After where the registry said
// it), Unavailable, and Invalid for what cannot be used. Nothing is repeated beyond
// what authentication needs.
type Resolver interface {
	Head(ctx context.Context, account string, ref anchore.Reference) (string, error)
	Resolve(ctx context.Context, account string, ref anchore.Reference, p anchore.Platform) (anchore.Manifest, error)
	ListTags(ctx context.Context, account string, repository anchore.Reference) ([]string, error)
}

// SuiteUser and SuitePassword are what the resolver's account "admin" logs in with.
const (
	SuiteUser     = "user"
	SuitePassword = "correct-horse"
)

// RunResolver is the suite that every resolver passes. It runs on resolvers made
// by open, one for each case, against registries that fail as registries do.
func RunResolver(t *testing.T, open func(testing.TB) Resolver) {
	img := Image(Spec{})
	for _, tc := range []struct {
		name     string
		cfg      Config
		fault    Fault
		kind     anchore.Kind // Internal: it resolves
		min, max time.Duration
	}{
		{name: "plain"},
		{name: "no digest header", fault: Fault{Drop: "Docker-Content-Digest"}},
		{name: "basic", cfg: Config{Auth: Basic, User: SuiteUser, Password: SuitePassword}},
		{name: "401 then token", cfg: Config{Auth: Token, User: SuiteUser, Password: SuitePassword}},
		{name: "wrong password", cfg: Config{Auth: Token, User: SuiteUser, Password: "other"}, kind: anchore.Unauthorized},
		{name: "403", fault: Fault{Status: 403}, kind: anchore.Forbidden},
		{name: "404", fault: Fault{Status: 404}, kind: anchore.NotFound},
		{name: "503", fault: Fault{Status: 503}, kind: anchore.Unavailable},
		{name: "429 in seconds", fault: TooMany(time.Minute), kind: anchore.Limited, min: time.Minute, max: time.Minute},
		{name: "429 with a date", fault: TooManyUntil(time.Now().Add(time.Hour)), kind: anchore.Limited, min: 50 * time.Minute, max: time.Hour},
		{name: "cut body", fault: Fault{Method: "GET", Path: "/manifests/", Cut: true}, kind: anchore.Unavailable},
		{name: "altered body", fault: Fault{Method: "GET", Path: "/blobs/", Flip: true}, kind: anchore.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := StartWith(t, tc.cfg)
			ref, err := anchore.ParseReference(srv.Push(t, "team/app:latest", img))
			if err != nil {
				t.Fatal(err)
			}
			srv.Inject(tc.fault)
			r := open(t)
			m, err := r.Resolve(t.Context(), "admin", ref, anchore.Platform{})
			if tc.kind != anchore.Internal {
				if anchore.KindOf(err) != tc.kind {
					t.Errorf("Resolve: %v, want kind %v", err, tc.kind)
				}
				if after := anchore.AfterOf(err); after < tc.min || after > tc.max {
					t.Errorf("Resolve: wait %v, want between %v and %v", after, tc.min, tc.max)
				}
				return
			}
			if err != nil || m.Digest != img.Digest || m.TagDigest != img.Digest || m.Size != img.Size {
				t.Errorf("Resolve = %+v, %v; want %s of %d bytes", m, err, img.Digest, img.Size)
			}
			if got, err := r.Head(t.Context(), "admin", ref); err != nil || got != img.Digest {
				t.Errorf("Head = %q, %v; want %q", got, err, img.Digest)
			}
		})
	}
	t.Run("endless tags", func(t *testing.T) { endlessTags(t, open(t)) })
}

func endlessTags(t *testing.T, r Resolver) {
	srv := Start(t)
	srv.Inject(Fault{Path: "tags/list", Status: 200, Body: `{"tags":["a"]}`, Header: http.Header{"Link": {`</v2/app/tags/list?last=a>; rel="next"`}}})
	repository := anchore.Reference{Registry: srv.Host(), Repository: "app"}
	if tags, err := r.ListTags(t.Context(), "admin", repository); anchore.KindOf(err) != anchore.Invalid {
		t.Errorf("ListTags = %v, %v; want kind invalid", tags, err)
	}
}
