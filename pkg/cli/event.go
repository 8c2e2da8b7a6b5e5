package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func newEventCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "event", "See what happened")
	cmd.AddCommand(newEventListCmd(a), newEventGetCmd(a), newEventDeleteCmd(a))
	return cmd
}

type eventListOptions struct {
	app                               *session.App
	since, before, level              string
	service, host, typ, kind, subject string
	all, full                         bool
}

func newEventListCmd(a *session.App) *cobra.Command {
	opts := eventListOptions{app: a}
	cmd := session.NewLeaf(a, "list [RESOURCE]", "List events, newest first",
		"RESOURCE is what the events are about, for example docker.io/library/alpine:latest.",
		func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.subject = args[0]
			}
			return opts.run(cmd.Context())
		})
	cmd.ValidArgsFunction = a.Complete(a.Tags)
	addPeriodFlags(cmd, &opts.since, &opts.before)
	cmd.Flags().StringVar(&opts.level, "level", "", "only of this level: info, error or fatal")
	cmd.Flags().StringVar(&opts.service, "service", "", "only from this service")
	cmd.Flags().StringVar(&opts.host, "host", "", "only from this host")
	cmd.Flags().StringVar(&opts.typ, "event-type", "", "only of this type; * stands for any text")
	cmd.Flags().StringVar(&opts.kind, "resource-type", "", "only about this type of resource")
	cmd.Flags().BoolVar(&opts.all, "all", false, "every page, not the first only")
	cmd.Flags().BoolVar(&opts.full, "full", false, "show where each event comes from")
	a.CompleteFlag(cmd, "level", session.OneOf("info", "error", "fatal"))
	a.CompleteFlag(cmd, "event-type", eventTypes)
	a.CompleteFlag(cmd, "resource-type", resourceTypes)
	return cmd
}

func addPeriodFlags(cmd *cobra.Command, since, before *string) {
	cmd.Flags().StringVar(since, "since", "", "only after this time, or so long ago: 2021-06-01T12:00:00Z, 90m, 24h, 7d")
	cmd.Flags().StringVar(before, "before", "", "only before this time, or so long ago")
}

func (o eventListOptions) run(ctx context.Context) error {
	level := strings.ToLower(o.level)
	if level != "" && level != "info" && level != "error" && level != "fatal" {
		return session.Failf("%s is an invalid value for --level. Supported values are 'info', 'error' or 'fatal'", o.level)
	}
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	now := time.Now()
	params := api.ListEventsParams{
		Since: session.Optional(pointInTime(o.since, now)), Before: session.Optional(pointInTime(o.before, now)), Level: session.Optional(level),
		SourceServicename: session.Optional(o.service), SourceHostid: session.Optional(o.host), ResourceID: session.Optional(o.subject),
		EventType: session.Optional(o.typ), ResourceType: session.Optional(o.kind),
	}
	response, err := c.ListEvents(ctx, &params)
	got, err := c.Object(ctx, response, err, "results")
	if err != nil {
		return err
	}
	result, ok := got.Value.(render.Object)
	if o.all && ok {
		if result, err = o.rest(ctx, c, params, result); err != nil {
			return err
		}
	}
	return o.app.Show(result, o.app.Table(o.table(render.Items(result.Get("results")))))
}

// rest joins the pages that follow the first. It ends at the first page that
// does not say that there is another, or has nothing new. Pages are counted from
// the newest event on, so those that arrive meanwhile are left out: they would move
// the others to later pages. What still comes twice is shown once, and an engine that
// has nothing else to say is asked no more.
func (o eventListOptions) rest(ctx context.Context, c *session.Client, params api.ListEventsParams, page render.Object) (render.Object, error) {
	results := render.Items(page.Get("results"))
	if len(results) > 0 {
		params.Before = cmp.Or(justAfter(results[0]), params.Before)
	}
	seen := map[string]bool{}
	for _, e := range results {
		seen[render.Text(render.At(e, "generated_uuid"))] = true
	}
	for n := 2; page.Get("next_page") == true; n++ {
		params.Page = &n
		response, err := c.ListEvents(ctx, &params)
		got, err := c.Object(ctx, response, err, "results")
		if err != nil {
			return nil, err
		}
		next, _ := got.Value.(render.Object)
		before := len(results)
		for _, e := range render.Items(next.Get("results")) {
			if id := render.Text(render.At(e, "generated_uuid")); !seen[id] {
				seen[id] = true
				results = append(results, e)
			}
		}
		if len(results) == before {
			break
		}
		page = next
	}
	return page.Set("results", results), nil
}

// justAfter is the first time as events show it, in microseconds, that the event is
// before; nil if the event does not say when it was.
func justAfter(e any) *string {
	at, err := time.Parse(time.RFC3339Nano, render.Text(render.At(e, "event", "timestamp")))
	if err != nil {
		return nil
	}
	text := at.UTC().Add(time.Microsecond).Format("2006-01-02T15:04:05.000000Z")
	return &text
}

func (o eventListOptions) table(events []any) render.Table {
	t := render.Table{Columns: []string{"Timestamp", "Level", "Event", "Resource", "ID"}, SortBy: -1}
	full := o.full || o.app.Wide()
	if full {
		t.Columns = []string{"Timestamp", "Level", "Event", "ResourceType", "Resource", "Service", "Host", "ID"}
	}
	for _, e := range events {
		event := render.At(e, "event")
		row := []any{render.At(event, "timestamp"), render.At(event, "level"), render.At(event, "type")}
		if full {
			row = append(row, render.At(event, "resource", "type"))
		}
		row = append(row, render.At(event, "resource", "id"))
		if full {
			row = append(row, render.At(event, "source", "servicename"), render.At(event, "source", "hostid"))
		}
		t.Rows = append(t.Rows, append(row, render.At(e, "generated_uuid")))
	}
	return t
}

// pointInTime turns "24h" or "7d" into the time that long before now. Anything
// else is left for the engine to read.
func pointInTime(s string, now time.Time) string {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)).UTC().Format(time.RFC3339)
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d).UTC().Format(time.RFC3339)
	}
	return s
}

func newEventGetCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "get EVENT_ID", "Show one event", "'anchore-cli event list' shows the ids.",
		func(cmd *cobra.Command, args []string) error { return runEventGet(cmd.Context(), a, args[0]) })
}

func runEventGet(ctx context.Context, a *session.App, id string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.GetEvent(ctx, id)
	got, err := c.Object(ctx, response, err, "event")
	if err != nil {
		return err
	}
	return a.Show(got.Value, func(w io.Writer) error { return render.WriteAll(w, render.YAML(render.At(got.Value, "event")), "\n") })
}

type eventDeleteOptions struct {
	app           *session.App
	since, before string
	all, dontAsk  bool
}

func newEventDeleteCmd(a *session.App) *cobra.Command {
	opts := eventDeleteOptions{app: a}
	cmd := session.NewLeaf(a, "delete [EVENT_ID]", "Delete one event, or those of a period",
		"For example: anchore-cli event delete --before 30d",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args) })
	addPeriodFlags(cmd, &opts.since, &opts.before)
	cmd.Flags().BoolVar(&opts.all, "all", false, "every event")
	cmd.Flags().BoolVar(&opts.dontAsk, "dontask", false, "do not ask for confirmation")
	return cmd
}

func (o eventDeleteOptions) run(ctx context.Context, args []string) error {
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	if len(args) > 0 {
		response, err := c.DeleteEvent(ctx, args[0])
		_, err = c.Do(ctx, response, err)
		return err // the original prints nothing
	}
	if !o.all && o.since == "" && o.before == "" {
		return session.Failf("Must include either an event_id, --all, --since, or --before")
	}
	if o.all && !o.dontAsk && !o.app.Confirmed(ctx, "Really delete (clear) all events? (y/N)") {
		return nil
	}
	now := time.Now()
	response, err := c.DeleteEvents(ctx, &api.DeleteEventsParams{Since: session.Optional(pointInTime(o.since, now)), Before: session.Optional(pointInTime(o.before, now))})
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	return o.app.Show(got.Value, func(w io.Writer) error {
		list, ok := got.Value.([]any)
		switch {
		case !ok:
			return render.WriteAll(w, "Success\n")
		case len(list) == 0:
			return render.WriteAll(w, "No matching events found\n")
		}
		_, err := fmt.Fprintf(w, "Deleted %d events\n", len(list))
		return err
	})
}
