package alarm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Disk says that the file system of dir has less than least free bytes. The trouble
// is over with a tenth more.
func Disk(dir string, least int64) Condition {
	return func(_ context.Context, stood Standing) []anchore.Event {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(dir, &fs); err != nil {
			return []anchore.Event{diskEvent("The data directory cannot be looked at", map[string]any{"msg": err.Error()})}
		}
		free, limit := int64(fs.Bavail)*int64(fs.Bsize), least
		if stood.has(anchore.EventDiskFull, dataDir) {
			limit += least / 10
		}
		if free >= limit {
			return nil
		}
		return []anchore.Event{diskEvent("The data directory has hardly any space left", map[string]any{
			"free_mb": free >> 20, "limit_mb": least >> 20,
			"msg": fmt.Sprintf("%d MiB are free; the key alarms.min_free_mb asks for %d", free>>20, least>>20),
		})}
	}
}

// dataDir is the resource of the events of the data directory's file system.
const dataDir = "data_dir"

func diskEvent(message string, details map[string]any) anchore.Event {
	return anchore.Event{
		Type: anchore.EventDiskFull, Service: "catalog", Message: message, Details: details,
		Resource: anchore.Resource{Type: "service", ID: dataDir},
	}
}

// KeyFile says that the file of the key of stored secrets cannot be read, or that the
// next start would not take it as fit says (nil: it takes all), once it was there: an
// engine that has no secrets needs none.
func KeyFile(path string, fit func() error) Condition {
	const id = "key"
	var seen atomic.Bool
	return func(_ context.Context, stood Standing) []anchore.Event {
		f, err := os.Open(path)
		if err == nil {
			seen.Store(true)
			_, err = f.Read(make([]byte, 1))
			_ = f.Close() // it was only read
		}
		if err == nil && fit != nil {
			err = fit()
		}
		if err == nil || !seen.Load() && !stood.has(anchore.EventKeyUnreadable, id) && os.IsNotExist(err) {
			return nil
		}
		return []anchore.Event{{
			Type: anchore.EventKeyUnreadable, Service: "catalog", Message: "The key of the stored secrets cannot be read",
			Resource: anchore.Resource{Type: "service", ID: id}, Details: map[string]any{"msg": keyReason(err)}, // which names the file
		}}
	}
}

func keyReason(err error) string {
	var known *anchore.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

// Failures says that something has failed at least limit times in a row, until it
// succeeds. state gives the number, the reason of the last one, and whether it has
// succeeded since the start.
func Failures(limit int, state func() (failures int, reason string, succeeded bool)) Condition {
	const id = "analyzer"
	return func(_ context.Context, stood Standing) []anchore.Event {
		n, why, succeeded := state()
		if n < limit && (succeeded || !stood.has(anchore.EventAnalysisDown, id)) {
			return nil
		}
		return []anchore.Event{{
			Type: anchore.EventAnalysisDown, Service: "analyzer", Message: "Image analyses fail repeatedly for reasons of the engine",
			Resource: anchore.Resource{Type: "service", ID: id}, Details: map[string]any{"failures": n, "msg": why},
		}}
	}
}

// Endpoint is what Dead must know of a webhook endpoint.
type Endpoint struct {
	Name    string
	Waiting int       // deliveries that have not ended
	Since   time.Time // since when it takes nothing, zero if it does or if it was resumed and not tried yet
	Failed  bool      // nothing was taken since the last failure
	Reason  string    // of the last failure
}

// Dead says which endpoints have taken nothing for longer than after, although
// something waits for them, until they take something: to resume one, as a restart
// does, is no end. An error_event endpoint is left out: whom would it tell.
func Dead(after time.Duration, endpoints func(context.Context) ([]Endpoint, error)) Condition {
	return func(ctx context.Context, stood Standing) (dead []anchore.Event) {
		list, err := endpoints(ctx)
		if err != nil { // the store has its own condition
			for _, name := range stood[anchore.EventEndpointDead] {
				dead = append(dead, deadEvent(Endpoint{Name: name}))
			}
			return dead
		}
		for _, e := range list {
			long := !e.Since.IsZero() && time.Since(e.Since) >= after
			still := e.Failed && stood.has(anchore.EventEndpointDead, e.Name)
			if e.Name != string(anchore.ErrorEvent) && e.Waiting > 0 && (long || still) {
				dead = append(dead, deadEvent(e))
			}
		}
		return dead
	}
}

func deadEvent(e Endpoint) anchore.Event {
	details := map[string]any{"endpoint": e.Name, "waiting": e.Waiting, "reason": e.Reason}
	if !e.Since.IsZero() {
		details["since"] = e.Since.UTC().Format(time.RFC3339)
	}
	return anchore.Event{
		Type: anchore.EventEndpointDead, Service: "catalog", Message: "Webhook endpoint has not taken anything for a long time",
		Resource: anchore.Resource{Type: "webhook", ID: e.Name}, Details: details,
	}
}
