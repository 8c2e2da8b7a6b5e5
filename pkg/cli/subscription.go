package cli

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func newSubscriptionCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "subscription", "Say what you want to be told about a tag")
	cmd.AddCommand(newSubscriptionListCmd(a), newSubscriptionGetCmd(a), newSubscriptionAddCmd(a),
		newSubscriptionSwitchCmd(a, true), newSubscriptionSwitchCmd(a, false), newSubscriptionDelCmd(a))
	return cmd
}

type subscriptionListOptions struct {
	app       *session.App
	full      bool
	typ       string
	filter    string
	active    bool
	inactive  bool
	arguments []string
}

func newSubscriptionListCmd(a *session.App) *cobra.Command {
	opts := subscriptionListOptions{app: a}
	cmd := session.NewLeaf(a, "list [KEY]", "List subscriptions",
		"KEY and --filter are tags, or patterns of tags with * and ?, for example 'docker.io/library/*'.\n\n--output wide shows when each tag was and will be looked at.",
		func(cmd *cobra.Command, args []string) error {
			opts.arguments = args
			return opts.run(cmd.Context())
		})
	cmd.ValidArgsFunction = a.Complete(func(cmd *cobra.Command, _ []string) []string { return subscriptionKeys(a)(cmd, nil) })
	cmd.Flags().BoolVar(&opts.full, "full", false, "show subscription ids as well")
	cmd.Flags().StringVar(&opts.typ, "type", "", "only this subscription type")
	cmd.Flags().StringVar(&opts.filter, "filter", "", "only keys that match this pattern")
	cmd.Flags().BoolVar(&opts.active, "active", false, "only active ones")
	cmd.Flags().BoolVar(&opts.inactive, "inactive", false, "only inactive ones")
	a.CompleteFlag(cmd, "type", subscriptionTypes)
	a.CompleteFlag(cmd, "filter", func(cmd *cobra.Command, _ []string) []string { return subscriptionKeys(a)(cmd, nil) })
	return cmd
}

func (o subscriptionListOptions) run(ctx context.Context) error {
	var params api.ListSubscriptionsParams
	if o.app.Wide() {
		detail := true
		params.Detail = &detail
	}
	if o.typ != "" {
		params.SubscriptionType = &o.typ
	}
	patterns := []string{o.filter}
	if len(o.arguments) > 0 {
		if isPattern(o.arguments[0]) {
			patterns = append(patterns, o.arguments[0])
		} else {
			params.SubscriptionKey = &o.arguments[0]
		}
	}
	list, err := listSubscriptions(ctx, o.app, &params)
	if err != nil {
		return hintType(err, o.typ)
	}
	records := o.matching(list, patterns)
	return o.app.Show(records, o.app.Table(o.table(render.Items(records))))
}

// matching applies the filters that the API does not have: keys match all patterns.
func (o subscriptionListOptions) matching(list any, patterns []string) any {
	if len(patterns) == 1 && patterns[0] == "" && !o.active && !o.inactive {
		return list
	}
	kept := []any{}
	for _, s := range render.Items(list) {
		active, _ := render.At(s, "active").(bool)
		key := render.Text(render.At(s, "subscription_key"))
		other := func(pattern string) bool { return !matchKey(pattern, key) }
		if !slices.ContainsFunc(patterns, other) && (!o.active || active) && (!o.inactive || !active) {
			kept = append(kept, s)
		}
	}
	return kept
}

func (o subscriptionListOptions) table(records []any) render.Table {
	t := render.Table{Columns: []string{"Tag", "Subscription Type", "Active"}}
	if o.full || o.app.Wide() {
		t.Columns = append(t.Columns, "Subscription ID")
	}
	if o.app.Wide() {
		t.Columns = append(t.Columns, "Last Look", "Last Change", "Next Look", "Last Error")
	}
	for _, s := range records {
		row := []any{render.At(s, "subscription_key"), render.At(s, "subscription_type"), render.At(s, "active")}
		if o.full || o.app.Wide() {
			row = append(row, render.OrDefault(render.At(s, "subscription_id"), ""))
		}
		if o.app.Wide() {
			row = append(row, timeCell(render.At(s, "status", "last_look")), timeCell(render.At(s, "status", "last_change")),
				timeCell(render.At(s, "status", "next_look")), render.OrDefault(render.At(s, "status", "last_error"), "-"))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// timeCell shows seconds since 1970 as a time in UTC, nothing as "-".
func timeCell(v any) any {
	n, ok := v.(render.Number)
	if !ok {
		return render.OrDefault(v, "-")
	}
	if r := render.Rational(n); r.IsInt() && r.Num().IsInt64() {
		return time.Unix(r.Num().Int64(), 0).UTC().Format(time.RFC3339)
	}
	return render.Text(v)
}

func newSubscriptionGetCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "get SUBSCRIPTION_ID", "Show one subscription", "'anchore-cli subscription list --full' shows the ids.",
		func(cmd *cobra.Command, args []string) error { return runSubscriptionGet(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(subscriptionIDs(a))
	return cmd
}

func runSubscriptionGet(ctx context.Context, a *session.App, id string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.GetSubscription(ctx, id, &api.GetSubscriptionParams{})
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	return a.Show(got.Value, a.Table(subscriptionTable(got.Value)))
}

func subscriptionTable(list any) render.Table {
	t := render.Table{Columns: []string{"Tag", "Subscription Type", "Active", "Subscription ID", "User ID"}}
	for _, s := range render.Items(list) {
		t.Rows = append(t.Rows, []any{render.At(s, "subscription_key"), render.At(s, "subscription_type"), render.At(s, "active"),
			render.OrDefault(render.At(s, "subscription_id"), ""), render.OrDefault(render.At(s, "userId"), "")})
	}
	return t
}

type subscriptionAddOptions struct {
	app      *session.App
	value    string
	inactive bool
}

func newSubscriptionAddCmd(a *session.App) *cobra.Command {
	opts := subscriptionAddOptions{app: a}
	cmd := session.NewLeaf(a, "add SUBSCRIPTION_TYPE SUBSCRIPTION_KEY", "Subscribe, before or after the image is added",
		"For example: anchore-cli subscription add tag_update docker.io/library/alpine:latest\n\nA subscription that exists stays as it is.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0], args[1]) })
	cmd.ValidArgsFunction = a.Complete(subscriptionTypes, a.Tags)
	cmd.Flags().StringVar(&opts.value, "value", "", "the subscription's value, a JSON object")
	cmd.Flags().BoolVar(&opts.inactive, "inactive", false, "add it switched off")
	return cmd
}

func (o subscriptionAddOptions) run(ctx context.Context, typ, key string) error {
	got, err := addSubscription(ctx, o.app, typ, key, o.value, !o.inactive)
	if err != nil {
		return hintType(err, typ)
	}
	if err := o.app.Show(got, o.app.Table(subscriptionTable(got))); err != nil {
		return err
	}
	if list := render.Items(got); !o.inactive && len(list) == 1 && render.At(list[0], "active") == false {
		o.app.Note("it exists and is inactive; activate it with: anchore-cli subscription activate %s %s", typ, key)
	}
	return nil
}

func addSubscription(ctx context.Context, a *session.App, typ, key, value string, active bool) (any, error) {
	c, err := a.Client()
	if err != nil {
		return nil, err
	}
	body := api.AddSubscriptionJSONRequestBody{SubscriptionType: typ, SubscriptionKey: key, Active: &active}
	if value != "" {
		body.SubscriptionValue = &value
	}
	response, err := c.AddSubscription(ctx, body)
	got, err := c.List(ctx, response, err)
	return got.Value, err
}

func newSubscriptionDelCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "del SUBSCRIPTION_ID", "Delete a subscription, which must be deactivated first", "",
		func(cmd *cobra.Command, args []string) error { return runSubscriptionDel(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(subscriptionIDs(a))
	return cmd
}

func runSubscriptionDel(ctx context.Context, a *session.App, id string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.DeleteSubscription(ctx, id)
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	if a.Historical() {
		return render.WriteAll(a.Out, "Success\n") // the original prints the word with --json too
	}
	return a.Success(got.Value)
}

type subscriptionSwitchOptions struct {
	app    *session.App
	active bool
	create bool
	dryRun bool
}

// newSubscriptionSwitchCmd is activate or deactivate.
func newSubscriptionSwitchCmd(a *session.App, active bool) *cobra.Command {
	opts := subscriptionSwitchOptions{app: a, active: active}
	name, short := "activate", "Switch subscriptions on"
	if !active {
		name, short = "deactivate", "Switch subscriptions off"
	}
	cmd := session.NewLeaf(a, name+" SUBSCRIPTION_TYPE SUBSCRIPTION_KEY", short,
		"SUBSCRIPTION_TYPE is tag_update, vuln_update, policy_eval, analysis_update or repo_update.\nSUBSCRIPTION_KEY is a tag, for example docker.io/library/alpine:latest, or a pattern\nwith * and ?, for example 'docker.io/library/*'.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0], args[1]) })
	cmd.ValidArgsFunction = a.Complete(subscriptionTypes, subscriptionKeys(a))
	cmd.Flags().BoolVar(&opts.dryRun, "dryrun", false, "only show what the key or pattern matches")
	if active {
		cmd.Flags().BoolVar(&opts.create, "create", false, "add the subscription if there is none yet")
	}
	return cmd
}

func (o subscriptionSwitchOptions) run(ctx context.Context, typ, key string) error {
	found, err := o.find(ctx, typ, key)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return o.missing(ctx, typ, key)
	}
	if o.dryRun {
		return o.app.Show(found, o.app.Table(subscriptionTable(found)))
	}
	if isPattern(key) {
		for _, s := range found {
			o.app.Note("%s %s", typ, render.Text(render.At(s, "subscription_key")))
		}
	}
	results := []any{}
	for _, s := range found {
		got, err := o.update(ctx, s, typ, key)
		if err != nil {
			return err
		}
		if !isPattern(key) {
			return o.app.Success(got)
		}
		results = append(results, render.Items(got)...)
	}
	return o.app.Success(results)
}

// find returns the subscriptions that key names.
func (o subscriptionSwitchOptions) find(ctx context.Context, typ, key string) ([]any, error) {
	params := api.ListSubscriptionsParams{SubscriptionType: &typ}
	if !isPattern(key) {
		params.SubscriptionKey = &key
	}
	list, err := listSubscriptions(ctx, o.app, &params)
	f := session.AsFailure(err)
	switch {
	case f != nil && f.Status == http.StatusNotFound:
		return nil, nil
	case f != nil && f.Status == http.StatusBadRequest:
		return nil, o.cannotLocate(typ, key).Hint("%s", f.Error())
	case err != nil || !isPattern(key):
		return render.Items(list)[:min(1, len(render.Items(list)))], err
	}
	var found []any
	for _, s := range render.Items(list) {
		if matchKey(key, render.Text(render.At(s, "subscription_key"))) {
			found = append(found, s)
		}
	}
	return found, nil
}

func (o subscriptionSwitchOptions) update(ctx context.Context, s any, typ, key string) (any, error) {
	id, ok := render.At(s, "subscription_id").(string)
	if !ok {
		return nil, session.Failf("could not get a valid subscription record using specified input")
	}
	c, err := o.app.Client()
	if err != nil {
		return nil, err
	}
	body := api.UpdateSubscriptionJSONRequestBody{Active: &o.active, SubscriptionType: &typ}
	if !isPattern(key) {
		body.SubscriptionKey = &key
	}
	response, err := c.UpdateSubscription(ctx, id, body)
	got, err := c.List(ctx, response, err)
	return got.Value, err
}

func (o subscriptionSwitchOptions) cannotLocate(typ, key string) *session.Failure {
	word := "activation"
	if !o.active {
		word = "deactivation"
	}
	return session.Failf("cannot locate subscription record using specified input (subscription_type=%s, subscription_key=%s needs to exist before %s)", typ, key, word)
}

// missing creates the subscription if that was asked for, else says what the
// user may have meant.
func (o subscriptionSwitchOptions) missing(ctx context.Context, typ, key string) error {
	if o.create && !isPattern(key) && !o.dryRun {
		got, err := addSubscription(ctx, o.app, typ, key, "", true)
		if err != nil {
			return err
		}
		return o.app.Success(got)
	}
	f := o.cannotLocate(typ, key)
	if _, err := anchore.ParseSubscriptionType(typ); err != nil {
		return f.Hint("%s", anchore.MessageOf(err))
	}
	if others := o.others(ctx, typ, key); len(others) > 0 {
		return f.Hint("%s has subscriptions of other types (%s); add this one with --create", key, strings.Join(others, ", "))
	}
	near := hintNear(ctx, o.app, f, typ, key)
	switch {
	case o.active && !isPattern(key):
		return f.Hint("add the image first (anchore-cli image add %s), or subscribe before it is there with --create", key)
	case !near:
		return f.Hint("'anchore-cli subscription list --type %s' shows what there is", typ)
	}
	return f
}

// others returns the types of the subscriptions that a tag has and that are not of
// typ, when one of that is to be activated.
func (o subscriptionSwitchOptions) others(ctx context.Context, typ, key string) (types []string) {
	repository := string(anchore.RepoUpdate)
	if !o.active || isPattern(key) || typ == repository {
		return nil
	}
	list, err := listSubscriptions(ctx, o.app, &api.ListSubscriptionsParams{SubscriptionKey: &key})
	if err != nil {
		return nil
	}
	for _, s := range render.Items(list) {
		if other := render.Text(render.At(s, "subscription_type")); other != repository {
			types = append(types, other)
		}
	}
	return types
}

func listSubscriptions(ctx context.Context, a *session.App, params *api.ListSubscriptionsParams) (any, error) {
	c, err := a.Client()
	if err != nil {
		return nil, err
	}
	response, err := c.ListSubscriptions(ctx, params)
	got, err := c.List(ctx, response, err)
	return got.Value, err
}

// isPattern tells whether key stands for many. Brackets are no pattern: they are in
// the names of registries whose host is an IPv6 address.
func isPattern(key string) bool { return strings.ContainsAny(key, "*?") }

// matchKey tells whether pattern matches key, or the short form in which Docker
// Hub's images are written; * matches slashes too. An empty pattern matches every
// key.
func matchKey(pattern, key string) bool {
	if pattern == "" {
		return true
	}
	const slash = "\x00" // path.Match stops * at slashes: hide them
	literal := strings.NewReplacer("/", slash, "[", `\[`, `\`, `\\`).Replace(pattern)
	for _, form := range []string{key, strings.TrimPrefix(key, "docker.io/"), strings.TrimPrefix(key, "docker.io/library/")} {
		if ok, err := path.Match(literal, strings.ReplaceAll(form, "/", slash)); ok && err == nil {
			return true
		}
	}
	return false
}
