package engine

import (
	"context"
	"fmt"
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
	return []server.PartHealth{e.watchHealth(), e.analysisHealth(ctx), e.notifyHealth(ctx)}
}

// stuckAfter is how long a loop may not turn before it counts as down: twice the
// longest that any of them sleeps.
const stuckAfter = 10 * time.Minute

func (e *Engine) watchHealth() server.PartHealth {
	registries, lastRun := e.watcher.Status()
	h := server.PartHealth{Part: "watch", Service: "catalog", Detail: map[string]any{}}
	failing, details := []watch.RegistryStatus{}, []map[string]any{}
	for _, r := range registries {
		h.Busy = h.Busy || r.Waiting > 0
		if r.Failures > 0 {
			failing = append(failing, r)
			details = append(details, map[string]any{"registry": r.Registry, "failures": r.Failures, "until": stamp(r.Until), "reason": r.Reason, "waiting": r.Waiting})
		}
	}
	h.Message = registryTrouble(failing)
	h.Detail["failing_registries"], h.Detail["last_turn"] = details, stamp(lastRun)
	h.Down = !lastRun.IsZero() && time.Since(lastRun) > stuckAfter
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
	h := server.PartHealth{Part: "analyze", Service: "analyzer", Busy: status.Running > 0, Down: status.Failures >= troubledAfter, Message: status.LastError}
	h.Detail = map[string]any{
		"running": status.Running, "failures": status.Failures, "last_success": stamp(status.LastSuccess),
		"isolation": e.child.Isolation(), "memory_limit_bytes": e.child.Memory(),
	}
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
		list = append(list, map[string]any{
			"name": s.Name, "url": s.URL, "pending": s.Pending, "parked": s.Parked, "in_flight": s.InFlight, "failures": s.Failures,
			"held_until": stamp(s.HeldUntil), "paused_at": stamp(s.PausedAt), "oldest_due": stamp(s.OldestDue),
			"last_success": stamp(s.LastSuccess), "last_failure": stamp(s.LastFailure), "last_reason": s.Reason,
		})
		h.Busy = h.Busy || s.InFlight > 0
		if s.Removed {
			list[len(list)-1]["removed"] = true // it is not configured any more, and has deliveries
		}
	}
	h.Message = endpointTrouble(endpoints)
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
