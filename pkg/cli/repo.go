package cli

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// A watched repository is a repo_update subscription whose key is the repository.

func newRepoCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "repo", "Watch whole repositories")
	cmd.AddCommand(newRepoAddCmd(a), newRepoListCmd(a), newRepoGetCmd(a), newRepoSwitchCmd(a, true), newRepoSwitchCmd(a, false), newRepoDelCmd(a))
	return cmd
}

// repositoryName is the repository of what was typed, without tag and digest.
// "alpine" is docker.io/library/alpine, as for images.
func repositoryName(input string) (string, error) {
	ref, err := anchore.ParseReference(input)
	if err != nil {
		return "", session.Failf("%s", anchore.MessageOf(err))
	}
	return ref.RepositoryName(), nil
}

type repoAddOptions struct {
	app                     *session.App
	noAutoSubscribe, dryRun bool
	lookupTag               string
	tags                    []string
	maxTags                 int
	all, excludeExisting    bool
}

// mostTags is the largest --max-tags that an engine takes.
const mostTags = 1_000_000

func newRepoAddCmd(a *session.App) *cobra.Command {
	opts := repoAddOptions{app: a}
	cmd := session.NewLeaf(a, "add INPUT_REPO", "Watch a repository and add its tags",
		"For example: anchore-cli repo add docker.io/library/debian --tags '12*' --tags '>= 11.5'\n\n--dryrun shows what would be added. No notification is sent for the repository itself. Each tag that is added has the subscriptions of any other tag: an analysis_update is sent when its image has been analyzed.",
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
	if o.maxTags < 1 || o.maxTags > mostTags {
		return session.Usagef("Invalid value for '--max-tags': %d is not in the range 1<=x<=%d; --all takes every tag.", o.maxTags, mostTags)
	}
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	response, err := c.AddRepository(ctx, o.params(repository))
	got, err := c.List(ctx, response, err)
	if err != nil {
		return session.HintRegistry(err)
	}
	err = o.app.Show(got.Value, func(w io.Writer) error {
		if o.dryRun {
			if err := render.WriteAll(w, "DRY RUN: Repository not added\n\n"); err != nil {
				return err
			}
		}
		return o.app.Table(repoTable(render.Items(got.Value)))(w)
	})
	for _, s := range render.Items(got.Value) {
		o.summary(watchValue(s))
	}
	return err
}

func (o repoAddOptions) params(repository string) *api.AddRepositoryParams {
	subscribe := !o.noAutoSubscribe
	p := api.AddRepositoryParams{Repository: repository, Autosubscribe: &subscribe, Dryrun: &o.dryRun, Lookuptag: session.Optional(o.lookupTag), MaxTags: &o.maxTags}
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
	o.app.Note("%s %d of the %s tags that match, of %s in the registry", verb, len(add), render.Text(matching), render.Text(total))
	if o.dryRun {
		for _, tag := range add {
			o.app.Note("  %s", render.Text(tag))
		}
	}
	if n, ok := matching.(render.Number); ok && !o.excludeExisting && !o.all && len(add) > 0 && render.Rational(n).Cmp(render.Rational(len(add))) > 0 {
		o.app.Hint("--all adds every tag that matches, --max-tags N at most N of them; --tags says which match")
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

func newRepoListCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "list", "List the watched repositories", "",
		func(cmd *cobra.Command, _ []string) error { return runRepoList(cmd.Context(), a) })
}

func runRepoList(ctx context.Context, a *session.App) error {
	list, err := listRepositories(ctx, a, "")
	if err != nil {
		return err
	}
	return a.Show(list, a.Table(repoTable(list)))
}

// listRepositories returns the repo_update subscriptions, or the one of a
// repository. The list is filtered once more, as an engine may not know the query.
func listRepositories(ctx context.Context, a *session.App, repository string) ([]any, error) {
	kind := string(anchore.RepoUpdate)
	list, err := listSubscriptions(ctx, a, &api.ListSubscriptionsParams{SubscriptionType: &kind, SubscriptionKey: session.Optional(repository)})
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

// findRepository returns the name that the input stands for and the watch of that
// repository, in a list that is empty if there is none.
func findRepository(ctx context.Context, a *session.App, input string) (repository string, list []any, err error) {
	if repository, err = repositoryName(input); err != nil {
		return "", nil, err
	}
	list, err = listRepositories(ctx, a, repository)
	if f := session.AsFailure(err); f != nil && f.Status == http.StatusNotFound {
		err = nil
	}
	return repository, list, err
}

// unknownRepository adds to f what the user may have meant, and how to add the
// repository if it is wanted.
func unknownRepository(ctx context.Context, a *session.App, f *session.Failure, repository string, wanted bool) error {
	near := hintNear(ctx, a, f, string(anchore.RepoUpdate), repository)
	switch {
	case wanted:
		f.Hint("add it with: anchore-cli repo add %s", repository)
	case !near:
		f.Hint("'anchore-cli repo list' shows what there is")
	}
	return f
}

func newRepoGetCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "get INPUT_REPO", "Show a watched repository", "",
		func(cmd *cobra.Command, args []string) error { return runRepoGet(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(repositories(a))
	return cmd
}

func runRepoGet(ctx context.Context, a *session.App, input string) error {
	repository, list, err := findRepository(ctx, a, input)
	if err != nil {
		return err
	}
	if len(list) == 0 { // the original printed an empty line and exited with 0
		return unknownRepository(ctx, a, session.Failf("repository %s is not known", repository).Exit(1), repository, true)
	}
	return a.Show(list, a.Table(repoTable(list)))
}

// newRepoSwitchCmd is watch or unwatch.
func newRepoSwitchCmd(a *session.App, active bool) *cobra.Command {
	name, short := "watch", "Look for new tags of a repository"
	if !active {
		name, short = "unwatch", "Stop looking for new tags of a repository"
	}
	opts := subscriptionSwitchOptions{app: a, active: active}
	cmd := session.NewLeaf(a, name+" INPUT_REPO", short, "The tags that were found stay, and so do their subscriptions.",
		func(cmd *cobra.Command, args []string) error { return opts.runRepo(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.Complete(repositories(a))
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
		return unknownRepository(ctx, o.app, o.cannotLocate(kind, repository), repository, o.active)
	}
	got, err := o.update(ctx, found[0], kind, repository)
	if err != nil {
		return err
	}
	return o.app.Show(got, o.app.Table(repoTable(render.Items(got))))
}

func newRepoDelCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "del INPUT_REPO", "Stop watching a repository, and forget that it was watched", "The tags that were found stay, and so do their subscriptions.",
		func(cmd *cobra.Command, args []string) error { return runRepoDel(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(repositories(a))
	return cmd
}

func runRepoDel(ctx context.Context, a *session.App, input string) error {
	repository, list, err := findRepository(ctx, a, input)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		f := session.Failf("cannot locate subscription record using specified input (subscription_type=repo_update, subscription_key=%s needs to exist before deletion)", repository)
		return unknownRepository(ctx, a, f, repository, false)
	}
	id, ok := render.At(list[0], "subscription_id").(string)
	if !ok {
		return session.Failf("could not get a valid subscription record using specified input")
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.DeleteSubscription(ctx, id)
	got, err := c.Do(ctx, response, err)
	if f := session.AsFailure(err); f != nil && f.Status == http.StatusConflict {
		return f.Hint("stop watching it first: anchore-cli repo unwatch %s", repository)
	}
	if err != nil {
		return err
	}
	return a.Success(got.Value)
}

// repositories asks the engine for the repositories that it watches.
func repositories(a *session.App) session.Completer {
	return func(cmd *cobra.Command, _ []string) []string {
		kind := string(anchore.RepoUpdate)
		return a.SubscriptionColumn(cmd, &api.ListSubscriptionsParams{SubscriptionType: &kind}, "subscription_key")
	}
}
