package session

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// Completer suggests values for the argument that is being typed.
type Completer func(cmd *cobra.Command, before []string) []string

// Complete makes cobra's completion of one completer for each argument.
func (a *App) Complete(each ...Completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(each[len(args)](cmd, args), prefix), cobra.ShellCompDirectiveNoFileComp
	}
}

// beginning returns the values that begin with prefix and that a terminal shows as
// they are. If there are none, it looks at the forms in which Docker Hub's names may be
// written too: a shell goes on from what was typed.
func beginning(values []string, prefix string) []string {
	for _, left := range []string{"", anchore.DefaultRegistry + "/library/", anchore.DefaultRegistry + "/"} {
		var out []string
		for _, s := range values {
			short, has := strings.CutPrefix(s, left)
			if has && strings.HasPrefix(short, prefix) && render.Clean(short, false) == short {
				out = append(out, short)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// CompleteFlag suggests values for a flag of cmd.
func (a *App) CompleteFlag(cmd *cobra.Command, flag string, values Completer) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return beginning(values(cmd, args), prefix), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // cmd has no such flag
	}
}

// OneOf suggests the same values whatever was typed before.
func OneOf(values ...string) Completer {
	return func(*cobra.Command, []string) []string { return values }
}

// CompleteRest keeps a shell from suggesting files for the flags of cmd and of the
// commands below it, but for those that name one and those that have suggestions.
func CompleteRest(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, has := cmd.GetFlagCompletionFunc(f.Name); has || slices.Contains([]string{"config", "dockerfile", "infile"}, f.Name) {
			return
		}
		if err := cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions); err != nil {
			panic(err) // there is the flag, and it had none
		}
	})
	for _, c := range cmd.Commands() {
		CompleteRest(c)
	}
}

// Column returns the different texts under key in a list that the engine answers
// with. It is empty if anything fails: a completion has nowhere to complain.
func (a *App) Column(cmd *cobra.Command, key string, ask func(context.Context, *Client) (*http.Response, error)) []string {
	if a.prepare(cmd) != nil {
		return nil
	}
	c, err := a.Client()
	if err != nil {
		return nil
	}
	response, err := ask(cmd.Context(), c)
	list, err := c.Do(cmd.Context(), response, err)
	if err != nil {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, s := range render.Items(list.Value) {
		if v, ok := render.At(s, key).(string); ok && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// Tags asks the engine for the tags that it knows. It is a Completer.
func (a *App) Tags(cmd *cobra.Command, _ []string) []string {
	kind := string(anchore.TagUpdate)
	return a.SubscriptionColumn(cmd, &api.ListSubscriptionsParams{SubscriptionType: &kind}, "subscription_key")
}

// Accounts asks the engine for the names of accounts. It is a Completer.
func (a *App) Accounts(cmd *cobra.Command, _ []string) []string {
	return a.Column(cmd, "name", func(ctx context.Context, c *Client) (*http.Response, error) {
		return c.ListAccounts(ctx, nil)
	})
}

// SubscriptionColumn is Column of the subscriptions that params select.
func (a *App) SubscriptionColumn(cmd *cobra.Command, params *api.ListSubscriptionsParams, key string) []string {
	return a.Column(cmd, key, func(ctx context.Context, c *Client) (*http.Response, error) {
		return c.ListSubscriptions(ctx, params)
	})
}
