package session

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// Completer suggests values for the argument that is being typed.
type Completer func(cmd *cobra.Command, before []string) []string

// Complete makes cobra's completion of one completer for each argument.
func (a *App) Complete(each ...Completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var out []string
		if len(args) < len(each) {
			for _, s := range each[len(args)](cmd, args) {
				if strings.HasPrefix(s, prefix) && render.Clean(s, false) == s {
					out = append(out, s)
				}
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
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

// SubscriptionColumn is Column of the subscriptions that params select.
func (a *App) SubscriptionColumn(cmd *cobra.Command, params *api.ListSubscriptionsParams, key string) []string {
	return a.Column(cmd, key, func(ctx context.Context, c *Client) (*http.Response, error) {
		return c.ListSubscriptions(ctx, params)
	})
}
