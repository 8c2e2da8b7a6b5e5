package engine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/server"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// looks tells what the watcher knows of an account's subscriptions.
func (e *Engine) looks(ctx context.Context, account string) (func(anchore.Subscription) server.Look, error) {
	changes, err := e.catalog.TagChanges(ctx, account)
	if err != nil {
		return nil, err
	}
	return func(s anchore.Subscription) server.Look {
		look := e.watcher.TagLook(account, s.Key)
		return server.Look{Last: look.Last, Change: changes[s.Key], Next: look.Next, Error: look.Error}
	}, nil
}

// health asks each part how it is doing, for /system.
func (e *Engine) health(ctx context.Context) []server.PartHealth {
	return []server.PartHealth{e.storageHealth(), e.watchHealth(), e.sweepHealth(), e.analysisHealth(ctx), e.fanOutHealth(), e.notifyHealth(ctx)}
}

// storageHealth tells of what is wrong with the data directory: the alarms look at it.
func (e *Engine) storageHealth() server.PartHealth {
	h := server.PartHealth{Part: "storage", Service: "catalog", Detail: map[string]any{}}
	var wrong []string
	for _, t := range e.alarms.Standing() {
		switch t.Type {
		case anchore.EventStoreFailing, anchore.EventDiskFull, anchore.EventKeyUnreadable:
			wrong = append(wrong, t.Message)
			h.Down = h.Down || t.Type == anchore.EventStoreFailing
		}
	}
	h.Message, h.Detail["troubles"] = strings.Join(wrong, "; "), append([]string{}, wrong...)
	return h
}

// How long a loop may not turn before it counts as down: twice the longest that any of
// them sleeps, which is the five minutes of the watcher; and twice that of the sweep.
const (
	stuckAfter      = 10 * time.Minute
	sweepStuckAfter = 2 * sweepEvery
)

// stuck says that a loop has not turned for longer than after, "" if it has, or has not
// begun to.
func stuck(last time.Time, after time.Duration) string {
	if last.IsZero() || time.Since(last) <= after {
		return ""
	}
	return fmt.Sprintf("nothing was done since %v; restart the engine, and see what its log says of then", stamp(last))
}

// loopHealth is the health of a part of which nothing is known but its last turn.
func loopHealth(part, service string, last time.Time, after time.Duration) server.PartHealth {
	why := stuck(last, after)
	return server.PartHealth{Part: part, Service: service, Down: why != "", Message: why, Detail: map[string]any{"last_turn": stamp(last)}}
}

func (e *Engine) fanOutHealth() server.PartHealth {
	return loopHealth("fan-out", "simplequeue", e.catalog.LastFanOut(), stuckAfter)
}

func (e *Engine) sweepHealth() server.PartHealth {
	var last time.Time
	if at := e.swept.Load(); at != nil {
		last = *at
	}
	return loopHealth("sweep", "catalog", last, sweepStuckAfter)
}

func (e *Engine) watchHealth() server.PartHealth {
	registries, lastRun := e.watcher.Status()
	h := loopHealth("watch", "catalog", lastRun, stuckAfter)
	failing, details := []watch.RegistryStatus{}, []map[string]any{}
	for _, r := range registries {
		h.Busy = h.Busy || r.Waiting > 0
		if r.Failures > 0 {
			failing = append(failing, r)
			details = append(details, map[string]any{"registry": r.Registry, "failures": r.Failures, "until": stamp(r.Until), "reason": r.Reason, "waiting": r.Waiting})
		}
	}
	h.Message = cmp.Or(h.Message, registryTrouble(failing))
	h.Detail["failing_registries"] = details
	return h
}

// registryTrouble says of the first of the registries that fail what an operator
// should know, and counts the others; "" if there are none. The reason may name
// another host: a mirror.
func registryTrouble(failing []watch.RegistryStatus) string {
	if len(failing) == 0 {
		return ""
	}
	r := failing[0]
	text := fmt.Sprintf("registry %s does not answer: %s", r.Registry, r.Reason)
	if r.Limited {
		text = fmt.Sprintf("registry %s is left alone until %v, as it asks: %s", r.Registry, stamp(r.Until), r.Reason)
	}
	if more := len(failing) - 1; more > 0 {
		text += fmt.Sprintf(" (others that fail: %d)", more)
	}
	return text
}

// troubledAfter is how many failures in a row make the analysis workers count as
// down.
const troubledAfter = 5

func (e *Engine) analysisHealth(ctx context.Context) server.PartHealth {
	status := e.workers.Status()
	h := loopHealth("analyze", "analyzer", status.LastTurn, stuckAfter) // one that carries out a long analysis is not stuck
	h.Busy, h.Down, h.Message = status.Running > 0, h.Down || status.Failures >= troubledAfter, cmp.Or(h.Message, status.LastError)
	h.Detail["running"], h.Detail["failures"], h.Detail["last_success"] = status.Running, status.Failures, stamp(status.LastSuccess)
	h.Detail["isolation"], h.Detail["memory_limit_bytes"] = e.child.Isolation(), e.child.Memory()
	if waiting, oldest, err := e.catalog.QueueLength(ctx); err == nil {
		h.Detail["queued"], h.Detail["oldest_seconds"] = waiting, int(oldest.Seconds())
	}
	return h
}

func (e *Engine) notifyHealth(ctx context.Context) server.PartHealth {
	h := server.PartHealth{Part: "notify", Service: "simplequeue"}
	endpoints, err := e.relay.Status(ctx)
	if err != nil {
		h.Down, h.Message = true, anchore.MessageOf(err)
		return h
	}
	list := []map[string]any{}
	for _, s := range endpoints {
		if why := stuck(s.LookedAt, stuckAfter); why != "" && !h.Down {
			h.Down, h.Message = true, fmt.Sprintf("endpoint %s: %s", s.Name, why)
		}
		list = append(list, map[string]any{
			"name": s.Name, "url": s.URL, "pending": s.Pending, "parked": s.Parked, "in_flight": s.InFlight, "failures": s.Failures,
			"held_until": stamp(s.HeldUntil), "paused_at": stamp(s.PausedAt), "oldest_due": stamp(s.OldestDue),
			"last_success": stamp(s.LastSuccess), "last_failure": stamp(s.LastFailure), "last_reason": s.Reason,
			"last_turn": stamp(s.LookedAt),
		})
		h.Busy = h.Busy || s.InFlight > 0
		if s.Removed {
			list[len(list)-1]["removed"] = true // it is not configured any more, and has deliveries
		}
	}
	h.Message = cmp.Or(h.Message, endpointTrouble(endpoints))
	h.Detail = map[string]any{"endpoints": list}
	if len(list) == 0 {
		h.Detail["note"] = "no webhook is configured; notifications are recorded and sent nowhere"
	}
	return h
}

// endpointTrouble says why the first of the endpoints fails that do, and counts the
// others; "" if none does.
func endpointTrouble(endpoints []notify.EndpointStatus) (text string) {
	more := -1
	for _, s := range endpoints {
		if s.Removed || s.PausedAt.IsZero() && s.Failures == 0 {
			continue
		}
		if more++; more == 0 {
			text = fmt.Sprintf("endpoint %s: %s", s.Name, s.Reason)
		}
	}
	if more > 0 {
		text += fmt.Sprintf(" (others that fail: %d)", more)
	}
	return text
}

// stamp is a time for people, nil for the zero time.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
