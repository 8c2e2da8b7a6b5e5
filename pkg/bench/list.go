package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/server"
)

const (
	listTags  = 25_000 // with four subscriptions each
	listTurns = 7
)

// answer is a ResponseWriter that counts the bytes and keeps them if asked to.
type answer struct {
	header http.Header
	status int
	bytes  int64
	keep   io.Writer // nil discards
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.bytes += int64(len(p))
	if a.keep != nil {
		return a.keep.Write(p)
	}
	return len(p), nil
}

// listLab is the API above a store with many subscriptions.
type listLab struct {
	data   *data
	server *server.Server
}

func newListLab(ctx context.Context, dir string, tags int) (lab *listLab, err error) {
	lab = &listLab{}
	if lab.data, err = openData(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lab.data.store.Close())
		}
	}()
	if err = lab.data.createAdmin(ctx); err != nil {
		return nil, err
	}
	if err = lab.data.subscribe(ctx, tagNames("registry.example.com", tags)); err != nil {
		return nil, err
	}
	client, err := oci.New(oci.Config{})
	if err != nil {
		return nil, err
	}
	in, err := intake.New(intake.Config{Registry: client, Catalog: lab.data.catalog})
	if err != nil {
		return nil, err
	}
	lab.server, err = server.New(server.Config{Catalog: lab.data.catalog, Intake: in})
	return lab, err
}

// list asks for all subscriptions, into keep if that is not nil.
func (lab *listLab) list(ctx context.Context, keep io.Writer) (took time.Duration, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/subscriptions", nil)
	if err != nil {
		return 0, 0, err
	}
	req.SetBasicAuth("admin", password)
	res := &answer{header: http.Header{}, status: http.StatusOK, keep: keep}
	start := time.Now()
	lab.server.ServeHTTP(res, req)
	took = time.Since(start)
	if res.status != http.StatusOK {
		err = fmt.Errorf("listing answered %d", res.status)
	}
	return took, res.bytes, err
}

// subscriptions are the records of the list, as the API has them.
func (lab *listLab) subscriptions(ctx context.Context) (list []api.Subscription, err error) {
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		_, _, err := lab.list(ctx, w)
		failed <- errors.Join(err, w.CloseWithError(err))
	}()
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		_ = r.CloseWithError(err)
		return nil, errors.Join(err, <-failed)
	}
	_, _ = io.Copy(io.Discard, r) // the line's end
	return list, <-failed
}

// encodeOnly is the list's form and nothing else: Go's own encoder, indented.
func encodeOnly(list []api.Subscription) (time.Duration, error) {
	start := time.Now()
	enc := json.NewEncoder(io.Discard)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(list)
	return time.Since(start), err
}

// measureList compares listing subscriptions with encoding the list.
func measureList(ctx context.Context, dir string, _ binaries) (section, error) {
	lab, err := newListLab(ctx, dir, listTags)
	if err != nil {
		return section{}, err
	}
	defer func() { _ = lab.data.store.Close() }()
	records, err := lab.subscriptions(ctx)
	if err != nil {
		return section{}, err
	}
	var ours, theirs sample
	var size int64
	for range listTurns {
		runtime.GC() // neither side pays for the other's garbage
		took, n, err := lab.list(ctx, nil)
		if err != nil {
			return section{}, err
		}
		ours, size = append(ours, took), n
		runtime.GC()
		if took, err = encodeOnly(records); err != nil {
			return section{}, err
		}
		theirs = append(theirs, took)
	}
	return section{
		title: "Listing subscriptions",
		results: []result{
			{what: fmt.Sprintf("GET /subscriptions with %d subscriptions, %.1f MB", len(records), float64(size)/1e6), figure: ours.String()},
			{what: "encoding the same list", figure: theirs.String()},
			compared("ratio", ours, theirs, 1.5),
		},
		notes: fmt.Sprintf(`
%d turns. Ours is the whole handler: login, reading the rows from the store page by
page, ids, records, JSON. The other side has the records in memory and gives them to
Go's encoder, indented as the original's answers are.`, listTurns),
	}, nil
}
