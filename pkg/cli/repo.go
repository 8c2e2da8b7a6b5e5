package cli

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// A watched repository is a repo_update subscription whose key is the repository.

func newRepoCmd(a *app) *cobra.Command {
	cmd := newGroup(a, "repo", "Watch whole repositories")
	cmd.AddCommand(newRepoAddCmd(a), newRepoListCmd(a), newRepoGetCmd(a), newRepoSwitchCmd(a, true), newRepoSwitchCmd(a, false), newRepoDelCmd(a))
	return cmd
}

// repositoryName is the repository of what was typed, without tag and digest.
// "alpine" is docker.io/library/alpine, as for images.
func repositoryName(input string) (string, error) {
	ref, err := anchore.ParseReference(input)
	if err != nil {
		return "", failf("%s", anchore.MessageOf(err))
	}
	return ref.RepositoryName(), nil
}

type repoAddOptions struct {
	app                     *app
	noAutoSubscribe, dryRun bool
	lookupTag               string
	tags                    []string
	maxTags                 int
	all, excludeExisting    bool
}

func newRepoAddCmd(a *app) *cobra.Command {
	opts := repoAddOptions{app: a}
	cmd := newLeaf(a, "add INPUT_REPO", "Watch a repository and add its tags",
		"For example: anchore-cli repo add docker.io/library/debian --tags '12*' --tags '>= 11.5'\n\n--dryrun shows what would be added. No notification is sent for tags that are found.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	cmd.Flags().BoolVar(&opts.noAutoSubscribe, "noautosubscribe", false, "do not watch the tags that are found")
	cmd.Flags().StringVar(&opts.lookupTag, "lookuptag", "", "the tag to look for first, instead of latest")
	cmd.Flags().BoolVar(&opts.dryRun, "dryrun", false, "only show what would be added")
	cmd.Flags().StringArrayVar(&opts.tags, "tags", nil, "only tags that match this pattern or version range, for example '3.*' or '>= 3.18'; may be repeated")
	cmd.Flags().IntVar(&opts.maxTags, "max-tags", anchore.DefaultMaxTags, "how many tags to add at once (default 50)")
	cmd.Flags().BoolVar(&opts.all, "all", false, "every tag, however many there are")
	cmd.Flags().BoolVar(&opts.excludeExisting, "exclude-existing", false, "leave out the tags that are there now, take only those to come")
	return cmd
}

func (o repoAddOptions) run(ctx context.Context, input string) error {
	repository, err := repositoryName(input)
	if err != nil {
		return err
	}
	if o.maxTags < 1 {
		return usagef("Invalid value for '--max-tags': %d is not in the range x>=1; --all takes every tag.", o.maxTags)
	}
	c, err := o.app.client()
	if err != nil {
		return err
	}
	response, err := c.AddRepository(ctx, o.params(repository))
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	err = o.app.show(got.value, func(w io.Writer) error {
		if o.dryRun {
			if err := render.WriteAll(w, "DRY RUN: Repository not added\n\n"); err != nil {
				return err
			}
		}
		return o.app.table(repoTable(render.Items(got.value)))(w)
	})
	for _, s := range render.Items(got.value) {
		o.summary(watchValue(s))
	}
	return err
}

func (o repoAddOptions) params(repository string) *api.AddRepositoryParams {
	subscribe := !o.noAutoSubscribe
	p := api.AddRepositoryParams{Repository: repository, Autosubscribe: &subscribe, Dryrun: &o.dryRun, Lookuptag: optional(o.lookupTag), MaxTags: &o.maxTags}
	if o.all {
		p.All, p.MaxTags = &o.all, nil
	}
	if o.excludeExisting {
		p.ExcludeExisting = &o.excludeExisting
	}
	if len(o.tags) > 0 {
		p.Tags = &o.tags
	}
	return &p
}

// summary says what is added and what is left out. The original had no such thing,
// so that it is on standard error; an engine of the original says nothing of it.
func (o repoAddOptions) summary(value any) {
	add, known := render.At(value, "add").([]any)
	if !known {
		return
	}
	verb := "The engine adds"
	if o.dryRun {
		verb = "The engine would add"
	}
	matching, total := render.At(value, "matching"), render.At(value, "tagcount")
	o.app.note("%s %d of the %s tags that match, of %s in the registry", verb, len(add), render.Text(matching), render.Text(total))
	if o.dryRun {
		for _, tag := range add {
			o.app.note("  %s", render.Text(tag))
		}
	}
	if n, ok := matching.(render.Number); ok && !o.excludeExisting && render.Rational(n).Cmp(render.Rational(len(add))) > 0 {
		o.app.hint("--all adds every tag that matches, --max-tags so many; --tags says which match")
	}
}

// repoTable shows repo_update subscriptions.
func repoTable(list []any) render.Table {
	t := render.Table{Columns: []string{"Repository", "Watched", "TagCount"}}
	for _, s := range list {
		t.Rows = append(t.Rows, []any{render.At(s, "subscription_key"), render.At(s, "active"), render.OrDefault(render.At(watchValue(s), "tagcount"), "N/A")})
	}
	return t
}

// watchValue is what a subscription's value, a text of JSON, says; nil if it is
// none.
func watchValue(s any) any {
	text, _ := render.At(s, "subscription_value").(string)
	v, err := render.DecodeJSON([]byte(text))
	if err != nil {
		return nil
	}
	return v
}

func newRepoListCmd(a *app) *cobra.Command {
	return newLeaf(a, "list", "List the watched repositories", "",
		func(cmd *cobra.Command, _ []string) error { return a.runRepoList(cmd.Context()) })
}

func (a *app) runRepoList(ctx context.Context) error {
	list, err := a.listRepositories(ctx, "")
	if err != nil {
		return err
	}
	return a.show(list, a.table(repoTable(list)))
}

// listRepositories returns the repo_update subscriptions, or the one of a
// repository. The list is filtered once more, as an engine may not know the query.
func (a *app) listRepositories(ctx context.Context, repository string) ([]any, error) {
	kind := string(anchore.RepoUpdate)
	list, err := a.listSubscriptions(ctx, &api.ListSubscriptionsParams{SubscriptionType: &kind, SubscriptionKey: optional(repository)})
	if err != nil {
		return nil, err
	}
	found := []any{}
	for _, s := range render.Items(list) {
		if render.At(s, "subscription_type") == kind && (repository == "" || render.At(s, "subscription_key") == repository) {
			found = append(found, s)
		}
	}
	return found, nil
}

func newRepoGetCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "get INPUT_REPO", "Show a watched repository", "",
		func(cmd *cobra.Command, args []string) error { return a.runRepoGet(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.complete(a.repositories)
	return cmd
}

func (a *app) runRepoGet(ctx context.Context, input string) error {
	repository, err := repositoryName(input)
	if err != nil {
		return err
	}
	list, err := a.listRepositories(ctx, repository)
	if f := asFailure(err); err != nil && (f == nil || f.status != http.StatusNotFound) {
		return err
	}
	if len(list) == 0 { // the original printed an empty line and exited with 0
		return failf("repository %s is not known", repository).exit(1).hint("add it with: anchore-cli repo add %s", repository)
	}
	return a.show(list, a.table(repoTable(list)))
}

// newRepoSwitchCmd is watch or unwatch.
func newRepoSwitchCmd(a *app, active bool) *cobra.Command {
	name, short := "watch", "Look for new tags of a repository"
	if !active {
		name, short = "unwatch", "Stop to look for new tags of a repository"
	}
	opts := subscriptionSwitchOptions{app: a, active: active}
	cmd := newLeaf(a, name+" INPUT_REPO", short, "The tags that were found stay, and so do their subscriptions.",
		func(cmd *cobra.Command, args []string) error { return opts.runRepo(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.complete(a.repositories)
	return cmd
}

// runRepo is run for one repository, with the answer shown as a repository.
func (o subscriptionSwitchOptions) runRepo(ctx context.Context, input string) error {
	repository, err := repositoryName(input)
	if err != nil {
		return err
	}
	kind := string(anchore.RepoUpdate)
	found, err := o.find(ctx, kind, repository)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return o.cannotLocate(kind, repository).hint("add it with: anchore-cli repo add %s", repository)
	}
	got, err := o.update(ctx, found[0], kind, repository)
	if err != nil {
		return err
	}
	return o.app.show(got, o.app.table(repoTable(render.Items(got))))
}

func newRepoDelCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "del INPUT_REPO", "Stop to watch a repository, and forget that it was watched", "The tags that were found stay, and so do their subscriptions.",
		func(cmd *cobra.Command, args []string) error { return a.runRepoDel(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.complete(a.repositories)
	return cmd
}

func (a *app) runRepoDel(ctx context.Context, input string) error {
	repository, err := repositoryName(input)
	if err != nil {
		return err
	}
	list, err := a.listRepositories(ctx, repository)
	if f := asFailure(err); err != nil && (f == nil || f.status != http.StatusNotFound) {
		return err
	}
	if len(list) == 0 {
		return failf("cannot locate subscription record using specified input (subscription_type=repo_update, subscription_key=%s needs to exist before deletion)", repository)
	}
	id, ok := render.At(list[0], "subscription_id").(string)
	if !ok {
		return failf("could not get a valid subscription record using specified input")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.DeleteSubscription(ctx, id)
	got, err := c.do(ctx, response, err)
	if f := asFailure(err); f != nil && f.status == http.StatusConflict {
		return f.hint("stop to watch it first: anchore-cli repo unwatch %s", repository)
	}
	if err != nil {
		return err
	}
	return a.success(got.value)
}

// repositories asks the engine for the repositories that it watches.
func (a *app) repositories(cmd *cobra.Command, _ []string) []string {
	kind := string(anchore.RepoUpdate)
	return a.subscriptionColumn(cmd, &api.ListSubscriptionsParams{SubscriptionType: &kind}, "subscription_key")
}
