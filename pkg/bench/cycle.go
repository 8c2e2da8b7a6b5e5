package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
	"github.com/anchore/anchore-engine/pkg/watch"
)

const (
	cycleTags    = 1000
	cyclesATurn  = 3
	cycleTurns   = 31
	cycleAtOnce  = 8 // requests, the default for one registry
	cycleWarming = cycleTags
)

// cycleLab is a watcher's world: a registry whose tags are all known and watched.
type cycleLab struct {
	data     *data
	registry *ocitest.Registry
	client   *oci.Client
	intake   *intake.Intake
	tags     []string
}

// newCycleLab starts a registry and takes its n tags in.
func newCycleLab(ctx context.Context, dir string, n int) (*cycleLab, error) {
	d, err := openData(dir)
	if err != nil {
		return nil, err
	}
	lab := &cycleLab{data: d}
	if lab.registry, err = ocitest.New(ocitest.Config{}); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	lab.tags = tagNames(lab.registry.Host(), n)
	if err = lab.takeIn(ctx); err != nil {
		return nil, errors.Join(err, lab.close())
	}
	return lab, nil
}

func (lab *cycleLab) takeIn(ctx context.Context) (err error) {
	if err = pushAll(lab.registry, lab.tags, ocitest.Image(ocitest.Spec{})); err != nil {
		return err
	}
	if err = lab.data.createAdmin(ctx); err != nil {
		return err
	}
	if lab.client, err = oci.New(oci.Config{Concurrency: cycleAtOnce, Credentials: credentials{lab.data.catalog}}); err != nil {
		return err
	}
	if lab.intake, err = intake.New(intake.Config{Registry: lab.client, Catalog: lab.data.catalog}); err != nil {
		return err
	}
	return each(ctx, lab.tags, func(ctx context.Context, tag string) error {
		ref, err := anchore.ParseReference(tag)
		if err != nil {
			return err
		}
		_, err = lab.intake.Add(ctx, intake.Request{Account: anchore.AdminAccount, Ref: ref, AutoSubscribe: true})
		return err
	})
}

// credentials are the catalog's, which has none here: each request looks.
type credentials struct{ catalog *catalog.Catalog }

// Credential implements oci.Credentials.
func (c credentials) Credential(ctx context.Context, account string, ref anchore.Reference) (oci.Credential, error) {
	r, _, err := c.catalog.RegistryFor(ctx, account, ref)
	return oci.Credential{Username: r.User, Password: r.Password}, err
}

func (lab *cycleLab) close() error {
	if lab.client != nil {
		lab.client.Close()
	}
	return errors.Join(lab.registry.Close(), lab.data.store.Close())
}

// pushAll gives the artifact every tag of the registry that is named.
func pushAll(r *ocitest.Registry, tags []string, a ocitest.Artifact) error {
	for _, tag := range tags {
		if err := r.Put(strings.TrimPrefix(tag, r.Host()+"/"), a); err != nil {
			return err
		}
	}
	return nil
}

// turn runs a watcher whose tags are all due at once, again and again, and returns
// how long the looks after the first warming took, and how many commits to the
// store fell into that time.
func (lab *cycleLab) turn(ctx context.Context, warming, looks int) (took time.Duration, commits uint64, err error) {
	metrics, err := watch.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return 0, 0, err
	}
	counted := &countedRegistry{Registry: lab.client, first: int64(warming), last: int64(warming + looks), done: make(chan struct{}), commits: func() uint64 { return lab.data.store.Stats().Commits }}
	w, err := watch.New(watch.Config{
		Catalog: lab.data.catalog, Registry: counted, Intake: lab.intake, Metrics: metrics,
		Interval: time.Millisecond, // far less than a cycle takes: everything is always due
		PerHost:  cycleAtOnce,
	})
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case <-counted.done:
	case err := <-ended:
		return 0, 0, errors.Join(err, errors.New("the watcher ended early"))
	case <-time.After(time.Minute):
		err = errors.New("the watcher did not finish its looks within a minute")
	}
	cancel()
	<-ended
	if err != nil {
		return 0, 0, err
	}
	return counted.to.Sub(counted.from), counted.after - counted.before, counted.failure()
}

// countedRegistry tells when a number of looks was reached.
type countedRegistry struct {
	watch.Registry
	first, last int64
	done        chan struct{}
	commits     func() uint64 // of the store

	looks    atomic.Int64
	from, to time.Time // written once each, before done is closed
	before   uint64    // commits at from
	after    uint64    // and at to
	failed   atomic.Pointer[error]
}

// Head implements watch.Registry.
func (c *countedRegistry) Head(ctx context.Context, account string, ref anchore.Reference) (string, error) {
	digest, err := c.Registry.Head(ctx, account, ref)
	n := c.looks.Add(1)
	if err != nil && n <= c.last {
		c.failed.Store(&err)
	}
	if n == c.first {
		c.before, c.from = c.commits(), time.Now()
	}
	if n == c.last {
		c.to, c.after = time.Now(), c.commits()
		close(c.done)
	}
	return digest, err
}

func (c *countedRegistry) failure() error {
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// bareLoop asks for the tags with HEAD and nothing else, over a client like that
// of package oci.
type bareLoop struct {
	client *http.Client
	tags   []string // as URLs
}

func newBareLoop(tags []string) *bareLoop {
	b := &bareLoop{client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: cycleAtOnce,
	}}}
	for _, tag := range tags {
		host, rest, _ := strings.Cut(tag, "/")
		repository, name, _ := strings.Cut(rest, ":")
		b.tags = append(b.tags, "http://"+host+"/v2/"+repository+"/manifests/"+name)
	}
	return b
}

// turn makes a number of requests and returns how long they took.
func (b *bareLoop) turn(ctx context.Context, looks int) (time.Duration, error) {
	var next atomic.Int64
	var group sync.WaitGroup
	failures := make(chan error, cycleAtOnce)
	start := time.Now()
	for range cycleAtOnce {
		group.Go(func() {
			for n := next.Add(1); n <= int64(looks); n = next.Add(1) {
				if err := b.head(ctx, b.tags[int(n)%len(b.tags)]); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	select {
	case err := <-failures:
		return 0, err
	default:
		return took, nil
	}
}

func (b *bareLoop) head(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json")
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Docker-Content-Digest") == "" {
		return fmt.Errorf("%s: status %d and no digest", url, res.StatusCode)
	}
	return nil
}

// measureCycle compares a poll cycle in which nothing changed with its requests
// alone.
func measureCycle(ctx context.Context, dir string, _ binaries) (section, error) {
	lab, err := newCycleLab(ctx, dir, cycleTags)
	if err != nil {
		return section{}, err
	}
	defer func() { _ = lab.close() }()
	bare := newBareLoop(lab.tags)
	if _, err := bare.turn(ctx, cycleWarming); err != nil {
		return section{}, err
	}
	var commits uint64
	var ours, theirs sample
	for range cycleTurns {
		took, n, err := lab.turn(ctx, cycleWarming, cyclesATurn*cycleTags)
		if err != nil {
			return section{}, err
		}
		commits += n
		ours = append(ours, took/cyclesATurn)
		if took, err = bare.turn(ctx, cyclesATurn*cycleTags); err != nil {
			return section{}, err
		}
		theirs = append(theirs, took/cyclesATurn)
	}
	return section{
		title: "A poll cycle in which nothing changed",
		results: []result{
			{what: fmt.Sprintf("%d tags through the watcher", cycleTags), figure: ours.String()},
			{what: "the same requests alone", figure: theirs.String()},
			compared("ratio (stretch: 1.1×)", ours, theirs, 1.3),
			{what: "commits to the store in all these cycles", figure: fmt.Sprint(commits), goal: "0", met: commits == 0},
		},
		notes: fmt.Sprintf(`
One registry on loopback, %d requests at once on both sides, %d turns of %d cycles
each. The watcher is the engine's own on its own store, with all tags due all the
time, and looks for the account's credential before each request; the other side is
a loop of HEAD requests over a plain client. The registry answers in the same process,
so its work is in both; it answers in microseconds, so a real one makes the ratio
smaller. That such cycles commit nothing and send nothing but HEADs is also a test
(pkg/bench).`, cycleAtOnce, cycleTurns, cyclesATurn),
	}, nil
}
