package watch

import (
	"context"
	"errors"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
)

// repositories is what the watcher reads and records of repositories.
type repositories interface {
	WatchedRepositories(ctx context.Context, after string, limit int) (list []catalog.WatchedRepository, next string, err error)
	RepositoryListFailed(ctx context.Context, w catalog.WatchedRepository, reason string) (first bool, err error)
	RepositoryListed(ctx context.Context, w catalog.WatchedRepository) error
}

// listing is the time between two lists of a repository of the registry; 0 or less
// is never. A registry that is asked for tags more rarely than repositories are
// listed, or not at all, is not asked for its lists more often.
func (w *Watcher) listing(registry string) time.Duration {
	d, ok := w.cfg.Intervals[registry]
	switch {
	case w.cfg.ListEvery <= 0 || ok && d <= 0:
		return 0
	case ok:
		return max(d, w.cfg.ListEvery)
	}
	return w.cfg.ListEvery
}

// readRepositories adds the watched repositories to the set that is being read.
func (w *Watcher) readRepositories(ctx context.Context, found map[string]*target) error {
	if w.cfg.ListEvery <= 0 {
		return nil
	}
	for after := ""; ; {
		list, next, err := w.cfg.Catalog.WatchedRepositories(ctx, after, 0)
		if err != nil {
			return err
		}
		for _, repo := range list {
			if w.listing(repo.Ref.Registry) <= 0 {
				continue
			}
			t, err := w.target(ctx, found, repo.Account, repo.Ref, repo.Ref.RepositoryName())
			if err != nil {
				return err
			}
			t.repos = append(t.repos, repo)
		}
		if after = next; after == "" {
			return nil
		}
	}
}

// rush lists a repository at once after somebody has changed what is wanted of it,
// or the credentials for it (it is known, by another target): they wait for its
// tags. A change of long ago has had its turn.
func (w *Watcher) rush(t *target, known bool, now time.Time) {
	if known && t.rushed.IsZero() && t.lastLook.IsZero() && len(t.repos) > 0 && !t.waiting && !t.looking {
		w.hint(t)
	}
	for _, repo := range t.repos {
		if at := repo.ChangedAt; at.After(t.rushed) && now.Sub(at) < w.cfg.ListEvery {
			t.rushed = at
			w.hint(t)
		}
	}
}

// list asks for the tags of a repository and hands over what is new, for each
// account. A failure that is the repository's own is told of once.
func (w *Watcher) list(ctx context.Context, ref anchore.Reference, repos []catalog.WatchedRepository) (more bool, err error) {
	for {
		tags, err := w.cfg.Registry.ListTags(ctx, repos[0].Account, ref)
		if err == nil {
			return w.handOverList(ctx, repos, tags)
		}
		same, rest := alike(ctx, w, ref, repos, err, func(repo catalog.WatchedRepository) string { return repo.Account })
		err = w.notListed(ctx, same, err)
		if len(rest) == 0 {
			return false, err
		}
		repos = rest
	}
}

// handOverList hands over the tags of a repository, for each account.
func (w *Watcher) handOverList(ctx context.Context, repos []catalog.WatchedRepository, tags []string) (more bool, errs error) {
	for i, repo := range repos {
		again, err := w.cfg.Intake.LookRepository(ctx, repo, tags)
		if errors.Is(err, catalog.ErrNoAccount) {
			continue // deleted meanwhile; the others' list is as good
		}
		if isHostFailure(err) || ctx.Err() != nil {
			return false, errors.Join(err, errs) // the others get their turn when it answers again
		}
		more = more || again
		if err != nil {
			errs = errors.Join(errs, w.notListed(ctx, repos[i:i+1], err))
			continue
		}
		if !repo.FailedSince.IsZero() {
			errs = errors.Join(errs, w.cfg.Catalog.RepositoryListed(ctx, repo))
		}
	}
	return more, errs
}

// notListed tells that the repository cannot be listed, and returns why.
func (w *Watcher) notListed(ctx context.Context, repos []catalog.WatchedRepository, why error) error {
	kind := anchore.KindOf(why)
	if isHostFailure(why) || errors.Is(why, catalog.ErrNoAccount) || kind == anchore.Internal || ctx.Err() != nil {
		return why // says nothing of the repository
	}
	errs := why
	for _, repo := range repos {
		first, err := w.cfg.Catalog.RepositoryListFailed(ctx, repo, anchore.MessageOf(why))
		errs = errors.Join(errs, err)
		if first {
			w.cfg.Log.Warn("a repository cannot be listed", "account", repo.Account, "repository", repo.Ref.RepositoryName(), "reason", anchore.MessageOf(why))
		}
	}
	return errs
}
