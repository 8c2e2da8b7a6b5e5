package operator

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func newWebhookCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "webhook", "See and test the endpoints that notifications go to")
	cmd.AddCommand(newWebhookListCmd(a), newWebhookTestCmd(a), newWebhookResumeCmd(a))
	return cmd
}

func newWebhookListCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "list", "List the endpoints with what waits for them",
		"--output wide shows why the last attempt failed, and the keys of the configuration.\nUntil when an endpoint is held, as it asked or because it fails, is on standard error\nas well.",
		func(cmd *cobra.Command, _ []string) error { return runWebhookList(cmd.Context(), a) })
}

func runWebhookList(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ListWebhooks(ctx)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	list := render.Items(got.Value)
	err = a.Show(got.Value, a.Table(webhookTable(list, a.Wide())))
	if err == nil && a.ForPeople() {
		noteHeld(a, list)
	}
	return err
}

// noteHeld says of each endpoint that is held for how long, and what ends it: the
// table is too wide for a column that is mostly empty.
func noteHeld(a *session.App, list []any) {
	for _, e := range list {
		if until := render.At(e, "held_until"); until != nil {
			name := render.Text(render.At(e, "name"))
			a.Note("%s gets nothing until %s; to send at once: anchore-cli system webhook resume %s", name, render.Text(until), name)
		}
	}
}

func webhookTable(list []any, wide bool) render.Table {
	t := render.Table{Columns: []string{"Endpoint", "URL", "State", "Waiting", "Given Up", "Last Success", "Last Failure"}}
	if wide {
		t.Columns = append(t.Columns, "Under Way", "Failures", "Held Until", "Oldest Due", "Last Error", "Configuration")
	}
	for _, e := range list {
		row := []any{render.At(e, "name"), orDash(render.At(e, "url")), render.At(e, "state"), render.At(e, "pending"), render.At(e, "parked"),
			render.OrDefault(render.At(e, "last_success"), "-"), render.OrDefault(render.At(e, "last_failure"), "-")}
		if wide {
			row = append(row, render.At(e, "in_flight"), render.At(e, "failures"), render.OrDefault(render.At(e, "held_until"), "-"), render.OrDefault(render.At(e, "oldest_due"), "-"),
				render.OrDefault(render.At(e, "last_error"), "-"), orDash(joined(render.At(e, "configuration_keys"))))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// orDash is a dash for what a removed endpoint does not have.
func orDash(v any) any {
	if render.IsEmpty(v) {
		return "-"
	}
	return v
}

// joined is a list of texts with commas between them.
func joined(list any) string {
	text := ""
	for i, v := range render.Items(list) {
		if i > 0 {
			text += ", "
		}
		text += render.Text(v)
	}
	return text
}

// webhooks asks the engine for the names of its endpoints.
func webhooks(a *session.App) session.Completer {
	return func(cmd *cobra.Command, _ []string) []string {
		return a.Column(cmd, "name", func(ctx context.Context, c *session.Client) (*http.Response, error) { return c.ListWebhooks(ctx) })
	}
}

func newWebhookTestCmd(a *session.App) *cobra.Command {
	var kind string
	cmd := session.NewLeaf(a, "test [WEBHOOK_TYPE]", "Send a sample to an endpoint and tell what it made of it",
		"WEBHOOK_TYPE is the name of the endpoint, 'general' if it is not given. What was\nfound out, with the certificates of the endpoint, is on standard error.",
		func(cmd *cobra.Command, args []string) error {
			endpoint := "general"
			if len(args) > 0 {
				endpoint = args[0]
			}
			return runWebhookTest(cmd.Context(), a, endpoint, kind)
		})
	cmd.ValidArgsFunction = a.Complete(webhooks(a))
	cmd.Flags().StringVar(&kind, "ntype", "", "type of the sample: tag_update, analysis_update, vuln_update, policy_eval, error_event or event_log (default: the endpoint's own, or tag_update)")
	a.CompleteFlag(cmd, "ntype", session.OneOf("tag_update", "analysis_update", "vuln_update", "policy_eval", "error_event", "event_log"))
	return cmd
}

func runWebhookTest(ctx context.Context, a *session.App, endpoint, kind string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var params api.TestWebhookParams
	if kind != "" {
		t := api.TestWebhookParamsNotificationType(kind)
		params.NotificationType = &t
	}
	response, err := c.TestWebhook(ctx, endpoint, &params)
	got, err := c.Do(ctx, response, err)
	if f := session.AsFailure(err); f != nil {
		noteWebhookTest(a, render.At(f.Answer, "detail"))
		return f.Hint("'anchore-cli system webhook list' shows the endpoints")
	}
	if err != nil {
		return err
	}
	if err := a.Success(got.Value); err != nil {
		return err
	}
	noteWebhookTest(a, got.Value)
	return nil
}

// noteWebhookTest says in sentences what a test found out; nothing if the engine
// did not try, or if the answer is for programs.
func noteWebhookTest(a *session.App, found any) {
	if render.At(found, "latency_ms") == nil || !a.ForPeople() {
		return
	}
	answer := "no answer"
	if status := render.At(found, "status"); status != nil {
		answer = "HTTP " + render.Text(status)
	}
	a.Note("%s (%s): %s after %s ms to a sample of %s", render.Text(render.At(found, "endpoint")), render.Text(render.At(found, "url")), answer, render.Text(render.At(found, "latency_ms")), render.Text(render.At(found, "notification_type")))
	if tls, ok := render.At(found, "tls").(render.Object); ok {
		trust := "its certificate is not trusted"
		if tls.Get("trusted") == true {
			trust = "its certificate is trusted"
		}
		a.Note("  %s, %s", render.Text(render.OrDefault(tls.Get("version"), "TLS refused")), trust)
		for _, c := range render.Items(tls.Get("chain")) {
			a.Note("    %s", certificateText(c))
		}
	}
	if keys := joined(render.At(found, "configuration_keys")); keys != "" {
		a.Note("  configured by %s", keys)
	}
}

func certificateText(c any) string {
	text := fmt.Sprintf("%s, issued by %s, valid until %s", render.Text(render.At(c, "subject")), render.Text(render.At(c, "issuer")), render.Text(render.At(c, "not_after")))
	if names := joined(render.At(c, "names")); names != "" {
		text += ", for " + names
	}
	return text
}

func newWebhookResumeCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "resume WEBHOOK_TYPE", "Send to an endpoint again that is paused or held, at once",
		"An endpoint that answered 410 Gone is paused until then, or until the engine starts.\nOne that fails, or asked to be left alone (Retry-After), is held; a start does not end\nthat. One notification is tried first, the others when it was taken.",
		func(cmd *cobra.Command, args []string) error { return runWebhookResume(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(webhooks(a))
	return cmd
}

func runWebhookResume(ctx context.Context, a *session.App, endpoint string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ResumeWebhook(ctx, endpoint)
	got, err := c.Do(ctx, response, err)
	if f := session.AsFailure(err); f != nil {
		return f.Hint("'anchore-cli system webhook list' shows the endpoints")
	}
	if err != nil {
		return err
	}
	return a.Success(got.Value)
}
