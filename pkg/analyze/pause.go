package analyze

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// pauses are for how long registries take no more requests for layers, by who asked.
// One image was told so, and the others that would be fetched with the same
// credentials wait with it instead of being told one by one.
type pauses struct {
	mu   sync.Mutex
	ends map[puller]pause
}

// puller is a registry, and the credentials that an image is fetched with.
type puller struct{ registry, identity string }

type pause struct {
	until time.Time
	why   string
}

// check returns a failure as long as the pause is, nil if there is none.
func (p *pauses) check(who puller, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.ends[who]
	if !ok {
		return nil
	}
	if !at.until.After(now) {
		delete(p.ends, who)
		return nil
	}
	err := anchore.E(anchore.Limited, "analyze.fetch", "%s", at.why)
	err.After = at.until.Sub(now)
	return err
}

// note begins a pause if err asks for one.
func (p *pauses) note(who puller, err error, now time.Time) {
	if anchore.KindOf(err) != anchore.Limited {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ends == nil || len(p.ends) >= maxRemembered {
		p.ends = map[puller]pause{}
	}
	p.ends[who] = pause{until: now.Add(cmp.Or(anchore.AfterOf(err), limitedWait)), why: reason(err)}
}

// pull fetches an image into a layout, unless the registry allows that account's
// credentials no more for now.
func (w *Workers) pull(ctx context.Context, job catalog.Job, account string, ref anchore.Reference, layout string) error {
	identity, err := w.cfg.Fetcher.Identity(ctx, account, ref)
	if err != nil {
		return err
	}
	who := puller{ref.Registry, identity}
	if err := w.pauses.check(who, time.Now()); err != nil {
		return err
	}
	err = w.cfg.Fetcher.Fetch(ctx, account, ref, layout, func(done, total int64) {
		w.report(job, anchore.Progress{Step: anchore.Fetching, Done: done, Total: total})
	})
	w.pauses.note(who, err, time.Now())
	return err
}
