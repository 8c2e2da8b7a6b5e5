package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// shells returns the shells that completion can be written for.
func shells() []string { return []string{"bash", "fish", "powershell", "zsh"} }

func newCompletionCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "completion SHELL", "Write a completion script for bash, fish, powershell or zsh",
		"For example, in ~/.bashrc:\n\n    source <(anchore-cli completion bash)\n\nTags, registries and accounts are completed by asking the engine.",
		func(cmd *cobra.Command, args []string) error { return runCompletion(a, cmd.Root(), args[0]) })
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return shells(), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func runCompletion(a *session.App, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.Out, true)
	case "fish":
		return root.GenFishCompletion(a.Out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(a.Out)
	case "zsh":
		return root.GenZshCompletion(a.Out)
	}
	return session.Usagef("Invalid value for 'SHELL': '%s' is not one of '%s'.", shell, strings.Join(shells(), "', '"))
}

func subscriptionTypes(*cobra.Command, []string) []string {
	var names []string
	for _, t := range anchore.SubscriptionTypes() {
		names = append(names, string(t))
	}
	return names
}

func eventTypes(*cobra.Command, []string) []string {
	var names []string
	for _, k := range anchore.EventKinds() {
		names = append(names, string(k.Type))
	}
	return names
}

// resourceTypes are what events are about.
func resourceTypes(*cobra.Command, []string) []string {
	var names []string
	for _, k := range anchore.EventKinds() {
		names = append(names, k.Resource)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// subscriptionKeys asks the engine for the keys of the type that was typed.
func subscriptionKeys(a *session.App) session.Completer {
	return func(cmd *cobra.Command, before []string) []string {
		var params api.ListSubscriptionsParams
		if len(before) > 0 {
			params.SubscriptionType = &before[0]
		}
		return a.SubscriptionColumn(cmd, &params, "subscription_key")
	}
}

func subscriptionIDs(a *session.App) session.Completer {
	return func(cmd *cobra.Command, _ []string) []string {
		return a.SubscriptionColumn(cmd, &api.ListSubscriptionsParams{}, "subscription_id")
	}
}
