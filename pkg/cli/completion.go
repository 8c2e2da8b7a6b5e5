package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// shells returns the shells that completion can be written for.
func shells() []string { return []string{"bash", "fish", "powershell", "zsh"} }

func newCompletionCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "completion SHELL", "Write a completion script for bash, fish, powershell or zsh",
		"For example, in ~/.bashrc:\n\n    source <(anchore-cli completion bash)\n\nTags and subscription types are completed by asking the engine.",
		func(cmd *cobra.Command, args []string) error { return a.runCompletion(cmd.Root(), args[0]) })
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return shells(), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func (a *app) runCompletion(root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.out, true)
	case "fish":
		return root.GenFishCompletion(a.out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(a.out)
	case "zsh":
		return root.GenZshCompletion(a.out)
	}
	return usagef("Invalid value for 'SHELL': '%s' is not one of '%s'.", shell, strings.Join(shells(), "', '"))
}

// completer suggests values for the argument that is being typed.
type completer func(cmd *cobra.Command, before []string) []string

// complete makes cobra's completion of one completer for each argument.
func (a *app) complete(each ...completer) cobra.CompletionFunc {
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

func subscriptionTypes(*cobra.Command, []string) []string {
	var names []string
	for _, t := range anchore.SubscriptionTypes() {
		names = append(names, string(t))
	}
	return names
}

// subscriptionKeys asks the engine for the keys of the type that was typed.
func (a *app) subscriptionKeys(cmd *cobra.Command, before []string) []string {
	var params api.ListSubscriptionsParams
	if len(before) > 0 {
		params.SubscriptionType = &before[0]
	}
	return a.subscriptionColumn(cmd, &params, "subscription_key")
}

func (a *app) subscriptionIDs(cmd *cobra.Command, _ []string) []string {
	return a.subscriptionColumn(cmd, &api.ListSubscriptionsParams{}, "subscription_id")
}

// tags asks the engine for the tags that it knows.
func (a *app) tags(cmd *cobra.Command, _ []string) []string {
	kind := string(anchore.TagUpdate)
	return a.subscriptionColumn(cmd, &api.ListSubscriptionsParams{SubscriptionType: &kind}, "subscription_key")
}

func (a *app) subscriptionColumn(cmd *cobra.Command, params *api.ListSubscriptionsParams, key string) []string {
	return a.column(cmd, key, func(ctx context.Context, c *client) (*http.Response, error) { return c.ListSubscriptions(ctx, params) })
}

// column returns the different texts under key in a list that the engine answers
// with. It is empty if anything fails: a completion has nowhere to complain.
func (a *app) column(cmd *cobra.Command, key string, ask func(context.Context, *client) (*http.Response, error)) []string {
	if a.prepare(cmd) != nil {
		return nil
	}
	c, err := a.client()
	if err != nil {
		return nil
	}
	response, err := ask(cmd.Context(), c)
	list, err := c.do(cmd.Context(), response, err)
	if err != nil {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	for _, s := range render.Items(list.value) {
		if v, ok := render.At(s, key).(string); ok && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
