package oci

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// layersAtOnce is how many layers of one image are fetched at a time.
const layersAtOnce = 3

// Fetch writes the image that ref.Digest names into an OCI layout in dir, which it
// makes; ref.Tag is not looked at. Everything is verified against its digest.
// Layers come from the cache if another image has just used them, but the manifest
// is always asked for, so that the account proves it may read the image. progress,
// if not nil, is told the bytes fetched and their total, from several goroutines.
//
// dir's layers may be hard links into the cache: read them, do not write. What is
// in dir after an error is the caller's to remove. Errors, beside those of Client:
// Invalid for foreign layers.
func (c *Client) Fetch(ctx context.Context, account string, ref anchore.Reference, dir string, progress func(done, total int64)) error {
	const op = "oci.Fetch"
	if !anchore.IsDigest(ref.Digest) {
		return anchore.E(anchore.Invalid, op, "%s has no digest to fetch", ref)
	}
	ref.Tag = ""
	head, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	doc, err := c.manifest(head, op, account, ref, ref.Digest)
	if err != nil {
		return err
	}
	if doc.isIndex() {
		return anchore.E(anchore.Invalid, op, "%s is an index; fetch the image of one platform", ref)
	}
	m, err := parseImage(op, ref, doc)
	if err != nil {
		return err
	}
	if err := fetchable(op, ref, m); err != nil {
		return err
	}
	config, err := c.blob(head, op, account, ref, m.Config)
	if err != nil {
		return err
	}
	if err := writeLayout(dir, doc, m.Config.Digest, config); err != nil {
		return failedWrite(op, err)
	}
	return c.fetchLayers(ctx, account, ref, m, dir, progress)
}

// fetchable refuses what cannot be fetched before the first layer is.
func fetchable(op string, ref anchore.Reference, m v1.Manifest) error {
	var total int64
	for _, l := range m.Layers {
		if !l.MediaType.IsDistributable() || len(l.URLs) > 0 {
			return anchore.E(anchore.Invalid, op, "%s has a foreign layer (%s), which its registry does not hold; such images cannot be analyzed", ref, l.Digest)
		}
		if l.Size < 0 || total > math.MaxInt64-l.Size {
			return anchore.E(anchore.Invalid, op, "the manifest of %s says that layer %s has %d bytes, which cannot be", ref, l.Digest, l.Size).WithCodes(anchore.CodeManifestUnreadable)
		}
		total += l.Size
	}
	return nil
}

// writeLayout writes everything but the layers: OCI image specification,
// image-layout.md.
func writeLayout(dir string, doc document, configDigest v1.Hash, config []byte) error {
	for _, algorithm := range []string{"sha256", "sha512"} {
		if err := os.MkdirAll(filepath.Join(dir, "blobs", algorithm), 0o755); err != nil {
			return err
		}
	}
	digest, err := v1.NewHash(doc.digest)
	if err != nil {
		// A sha512 digest, which the library's parser does not know.
		algorithm, hexadecimal, _ := strings.Cut(doc.digest, ":")
		digest = v1.Hash{Algorithm: algorithm, Hex: hexadecimal}
	}
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{MediaType: doc.kind, Size: int64(len(doc.raw)), Digest: digest}},
	})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(blobPath(dir, doc.digest), doc.raw, 0o644),
		os.WriteFile(blobPath(dir, configDigest.String()), config, 0o644),
		os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644),
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644),
	)
}

func blobPath(dir, digest string) string {
	algorithm, hexadecimal, _ := strings.Cut(digest, ":")
	return filepath.Join(dir, "blobs", algorithm, hexadecimal)
}

func (c *Client) fetchLayers(ctx context.Context, account string, ref anchore.Reference, m v1.Manifest, dir string, progress func(done, total int64)) error {
	var total int64
	layers := map[string]v1.Descriptor{} // a layer may be in an image twice
	for _, l := range m.Layers {
		if _, ok := layers[l.Digest.String()]; !ok {
			total += l.Size
		}
		layers[l.Digest.String()] = l
	}
	var done atomic.Int64
	count := func(n int64) {
		if sum := done.Add(n); progress != nil {
			progress(sum, total)
		}
	}
	count(0)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	for _, l := range layers {
		group.Go(func() error { return c.fetchLayer(ctx, account, ref, l, blobPath(dir, l.Digest.String()), count) })
	}
	return group.Wait()
}

// fetchLayer puts one layer at path, through the cache if there is one.
func (c *Client) fetchLayer(ctx context.Context, account string, ref anchore.Reference, l v1.Descriptor, path string, count func(int64)) error {
	fetch := func(to string) error { return c.download(ctx, account, ref, l, to, count) }
	if c.cache == nil {
		return fetch(path)
	}
	hit, err := c.cache.Get(ctx, l.Digest.String(), l.Size, path, fetch)
	if hit {
		count(l.Size)
	}
	var known *anchore.Error
	if err != nil && !errors.As(err, &known) && ctx.Err() == nil {
		return failedWrite("oci.Fetch", err)
	}
	return err
}

// leastBytes is how much of a layer must come within Config.Timeout, unless that is
// the rest of it: who sends single bytes must not hold a worker for days. It is 35 kB
// a second with the default.
const leastBytes = 1 << 20

// download fetches a layer into a new file and verifies size and digest. It gives
// up on a registry that sends less than leastBytes within Config.Timeout.
func (c *Client) download(ctx context.Context, account string, ref anchore.Reference, l v1.Descriptor, path string, count func(int64)) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := request{Question: answer.Question{Op: "oci.Fetch", Ref: ref, Method: http.MethodGet, Path: "blobs/" + l.Digest.String()}, account: account, layer: true}
	res, err := c.do(ctx, r)
	if err != nil {
		return lacking(r.Op, ref, "layer", l, err)
	}
	defer func() { _ = res.Body.Close() }()
	slow := time.AfterFunc(c.cfg.Timeout, func() { cancel(errSlow) }) // now: to wait for other layers is not slow
	defer slow.Stop()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return failedWrite(r.Op, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := hashOf(l.Digest.Algorithm)
	unpaid := 0
	body := &countingReader{from: io.LimitReader(res.Body, l.Size+1), count: func(n int) {
		if unpaid += n; unpaid >= leastBytes {
			unpaid = 0
			slow.Reset(c.cfg.Timeout)
		}
		count(int64(n))
	}}
	n, err := io.Copy(io.MultiWriter(f, sum), body)
	if err != nil {
		count(-n) // it will be fetched again, from the start
		switch {
		case errors.Is(context.Cause(ctx), errSlow):
			return anchore.E(anchore.Unavailable, r.Op, "registry %s sends too slowly: less than %d KiB of a layer of %s came within %v", ref.Registry, leastBytes>>10, ref.RepositoryName(), c.cfg.Timeout).WithCodes(anchore.CodeNotAccessible).Because(errSlow)
		case body.err != nil:
			return r.Broken(ctx, body.err)
		}
		return failedWrite(r.Op, err)
	}
	if n != l.Size || hex.EncodeToString(sum.Sum(nil)) != l.Digest.Hex {
		count(-n)
		return wrongContent(r, l.Digest.String())
	}
	return nil
}

var errSlow = errors.New("oci: less than leastBytes came in time")

func hashOf(algorithm string) hash.Hash {
	if algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// countingReader tells what was read, and keeps its own error apart from the
// writer's.
type countingReader struct {
	from  io.Reader
	count func(int)
	err   error
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.count(n)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func failedWrite(op string, err error) error {
	return anchore.E(anchore.Unavailable, op, "the image could not be written to the engine's disk").Because(err)
}
