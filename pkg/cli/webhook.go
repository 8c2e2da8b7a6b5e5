package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

func newWebhookCmd(a *app) *cobra.Command {
	cmd := newGroup(a, "webhook", "See and test the endpoints that notifications go to")
	cmd.AddCommand(newWebhookListCmd(a), newWebhookTestCmd(a), newWebhookResumeCmd(a))
	return cmd
}

func newWebhookListCmd(a *app) *cobra.Command {
	return newLeaf(a, "list", "List the endpoints with what waits for them",
		"--output wide shows why the last attempt failed, and the keys of the configuration.",
		func(cmd *cobra.Command, _ []string) error { return a.runWebhookList(cmd.Context()) })
}

func (a *app) runWebhookList(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.ListWebhooks(ctx)
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.show(got.value, a.table(webhookTable(render.Items(got.value), a.wide())))
}

func webhookTable(list []any, wide bool) render.Table {
	t := render.Table{Columns: []string{"Endpoint", "URL", "State", "Waiting", "Given Up", "Last Success", "Last Failure"}}
	if wide {
		t.Columns = append(t.Columns, "Under Way", "Failures", "Oldest Due", "Last Error", "Configuration")
	}
	for _, e := range list {
		row := []any{render.At(e, "name"), render.At(e, "url"), render.At(e, "state"), render.At(e, "pending"), render.At(e, "parked"),
			render.OrDefault(render.At(e, "last_success"), "-"), render.OrDefault(render.At(e, "last_failure"), "-")}
		if wide {
			row = append(row, render.At(e, "in_flight"), render.At(e, "failures"), render.OrDefault(render.At(e, "oldest_due"), "-"),
				render.OrDefault(render.At(e, "last_error"), "-"), joined(render.At(e, "configuration_keys")))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
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
func (a *app) webhooks(cmd *cobra.Command, _ []string) []string {
	return a.column(cmd, "name", func(ctx context.Context, c *client) (*http.Response, error) { return c.ListWebhooks(ctx) })
}

func newWebhookTestCmd(a *app) *cobra.Command {
	var kind string
	cmd := newLeaf(a, "test [WEBHOOK_TYPE]", "Send a sample to an endpoint and tell what it made of it",
		"WEBHOOK_TYPE is the name of the endpoint, 'general' if it is not given. What was\nfound out, with the certificates of the endpoint, is on standard error.",
		func(cmd *cobra.Command, args []string) error {
			endpoint := "general"
			if len(args) > 0 {
				endpoint = args[0]
			}
			return a.runWebhookTest(cmd.Context(), endpoint, kind)
		})
	cmd.ValidArgsFunction = a.complete(a.webhooks)
	cmd.Flags().StringVar(&kind, "ntype", "", "type of the sample: tag_update, analysis_update, vuln_update, policy_eval, error_event or event_log (default: the endpoint's own, or tag_update)")
	return cmd
}

func (a *app) runWebhookTest(ctx context.Context, endpoint, kind string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var params api.TestWebhookParams
	if kind != "" {
		t := api.TestWebhookParamsNotificationType(kind)
		params.NotificationType = &t
	}
	response, err := c.TestWebhook(ctx, endpoint, &params)
	got, err := c.do(ctx, response, err)
	if f := asFailure(err); f != nil {
		a.noteWebhookTest(render.At(f.answer, "detail"))
		return f.hint("'anchore-cli system webhook list' shows the endpoints")
	}
	if err != nil {
		return err
	}
	if err := a.success(got.value); err != nil {
		return err
	}
	a.noteWebhookTest(got.value)
	return nil
}

// noteWebhookTest says in sentences what a test found out; nothing if the engine
// did not try, or if the answer is for programs.
func (a *app) noteWebhookTest(found any) {
	if render.At(found, "latency_ms") == nil || a.set.json || a.set.output == jsonOutput || a.set.output == yamlOutput {
		return
	}
	answer := "no answer"
	if status := render.At(found, "status"); status != nil {
		answer = "HTTP " + render.Text(status)
	}
	a.note("%s (%s): %s after %s ms to a sample of %s", render.Text(render.At(found, "endpoint")), render.Text(render.At(found, "url")), answer, render.Text(render.At(found, "latency_ms")), render.Text(render.At(found, "notification_type")))
	if tls, ok := render.At(found, "tls").(render.Object); ok {
		trust := "its certificate is not trusted"
		if tls.Get("trusted") == true {
			trust = "its certificate is trusted"
		}
		a.note("  %s, %s", render.Text(render.OrDefault(tls.Get("version"), "TLS refused")), trust)
		for _, c := range render.Items(tls.Get("chain")) {
			a.note("    %s", certificateText(c))
		}
	}
	if keys := joined(render.At(found, "configuration_keys")); keys != "" {
		a.note("  configured by %s", keys)
	}
}

func certificateText(c any) string {
	text := fmt.Sprintf("%s, issued by %s, valid until %s", render.Text(render.At(c, "subject")), render.Text(render.At(c, "issuer")), render.Text(render.At(c, "not_after")))
	if names := joined(render.At(c, "names")); names != "" {
		text += ", for " + names
	}
	return text
}

func newWebhookResumeCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "resume WEBHOOK_TYPE", "Send to an endpoint again that was paused, at once",
		"An endpoint that answered 410 Gone is paused until then, or until the engine starts.",
		func(cmd *cobra.Command, args []string) error { return a.runWebhookResume(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.complete(a.webhooks)
	return cmd
}

func (a *app) runWebhookResume(ctx context.Context, endpoint string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.ResumeWebhook(ctx, endpoint)
	got, err := c.do(ctx, response, err)
	if f := asFailure(err); f != nil {
		return f.hint("'anchore-cli system webhook list' shows the endpoints")
	}
	if err != nil {
		return err
	}
	return a.success(got.value)
}
