package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
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
	return a.show(got.value, a.table(webhookTable(items(got.value), a.wide())))
}

func webhookTable(list []any, wide bool) table {
	t := table{columns: []string{"Endpoint", "URL", "State", "Waiting", "Given Up", "Last Success", "Last Failure"}}
	if wide {
		t.columns = append(t.columns, "Under Way", "Failures", "Oldest Due", "Last Error", "Configuration")
	}
	for _, e := range list {
		row := []any{at(e, "name"), at(e, "url"), at(e, "state"), at(e, "pending"), at(e, "parked"),
			orDefault(at(e, "last_success"), "-"), orDefault(at(e, "last_failure"), "-")}
		if wide {
			row = append(row, at(e, "in_flight"), at(e, "failures"), orDefault(at(e, "oldest_due"), "-"),
				orDefault(at(e, "last_error"), "-"), joined(at(e, "configuration_keys")))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// joined is a list of texts with commas between them.
func joined(list any) string {
	text := ""
	for i, v := range items(list) {
		if i > 0 {
			text += ", "
		}
		text += pyText(v)
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
		a.noteWebhookTest(at(f.answer, "detail"))
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
	if at(found, "latency_ms") == nil || a.set.json || a.set.output == jsonOutput || a.set.output == yamlOutput {
		return
	}
	answer := "no answer"
	if status := at(found, "status"); status != nil {
		answer = "HTTP " + pyText(status)
	}
	a.note("%s (%s): %s after %s ms to a sample of %s", pyText(at(found, "endpoint")), pyText(at(found, "url")), answer, pyText(at(found, "latency_ms")), pyText(at(found, "notification_type")))
	if tls, ok := at(found, "tls").(object); ok {
		trust := "its certificate is not trusted"
		if tls.get("trusted") == true {
			trust = "its certificate is trusted"
		}
		a.note("  %s, %s", pyText(orDefault(tls.get("version"), "TLS refused")), trust)
		for _, c := range items(tls.get("chain")) {
			a.note("    %s", certificateText(c))
		}
	}
	if keys := joined(at(found, "configuration_keys")); keys != "" {
		a.note("  configured by %s", keys)
	}
}

func certificateText(c any) string {
	text := fmt.Sprintf("%s, issued by %s, valid until %s", pyText(at(c, "subject")), pyText(at(c, "issuer")), pyText(at(c, "not_after")))
	if names := joined(at(c, "names")); names != "" {
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
