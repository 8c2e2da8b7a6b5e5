package operator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// NewSystemCmd is the group "system", with the webhooks in it.
func NewSystemCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "system", "See how the engine is doing")
	cmd.AddCommand(newSystemStatusCmd(a), newSystemWaitCmd(a), newSystemErrorCodesCmd(a), newWebhookCmd(a))
	return cmd
}

func newSystemStatusCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "status", "Show the state of each service",
		"--output wide shows what an operator should know: backlogs, registries that fail.",
		func(cmd *cobra.Command, _ []string) error { return runSystemStatus(cmd.Context(), a) })
}

func runSystemStatus(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.GetSystem(ctx)
	got, err := c.Object(ctx, response, err, "service_states")
	if err != nil {
		return err
	}
	services := render.Items(render.At(got.Value, "service_states"))
	err = a.Show(got.Value, func(w io.Writer) error { return writeStatus(a, w, services) })
	if err == nil {
		noteTroubles(a, services)
	}
	return err
}

// allGood is the message of a service without trouble.
const allGood = "all good"

// noteTroubles says beside the original's lines, which know only up and down, what
// a service that is up has to tell: a registry that does not answer, an endpoint
// that takes nothing.
func noteTroubles(a *session.App, services []any) {
	for _, s := range services {
		message, ok := render.At(s, "service_detail", "message").(string)
		if ok && message != "" && message != allGood {
			a.Note("%s: %s; see: anchore-cli system status --output wide", render.Text(render.At(s, "servicename")), message)
		}
	}
}

func writeStatus(a *session.App, w io.Writer, services []any) error {
	for _, s := range services {
		line := fmt.Sprintf("Service %s (%s, %s): ", render.Text(render.At(s, "servicename")), render.Text(render.At(s, "hostid")), render.Text(render.At(s, "base_url")))
		state, why := a.Colours.Good("up"), ""
		if render.At(s, "status") != true {
			state, why = a.Colours.Bad("down"), " ("+render.Text(render.At(s, "status_message"))+")"
		}
		if err := render.WriteAll(w, render.Clean(line, false), state, render.Clean(why, false), "\n"); err != nil {
			return err
		}
		if !a.Wide() {
			continue
		}
		details, _ := render.At(s, "service_detail", "detail").(render.Object)
		for _, m := range render.Sorted(details) {
			if err := render.WriteAll(w, "    ", render.Clean(m.Key+": "+render.Text(m.Value), false), "\n"); err != nil {
				return err
			}
		}
	}
	db, code := versions(services)
	return render.WriteAll(w, "\nEngine DB Version: ", render.Clean(db, false), "\nEngine Code Version: ", render.Clean(code, false), "\n")
}

// versions are those of the last API service that is up, else the first known.
func versions(services []any) (db, code string) {
	db, code = "Not Found", "Not Found"
	found := false
	for _, s := range services {
		detail, ok := render.At(s, "service_detail").(render.Object)
		if !ok {
			continue
		}
		api := render.At(s, "servicename") == "apiext" && render.At(s, "status") == true
		d, okDB := detail.Get("db_version").(string)
		v, okCode := detail.Get("version").(string)
		if okDB && okCode && (api || !found) {
			db, code, found = d, v, true
		}
	}
	return db, code
}

type systemWaitOptions struct {
	app                       *session.App
	timeout, interval         float64 // seconds; a negative timeout waits for ever
	feedsReady, servicesReady string
	start                     time.Time
}

func newSystemWaitCmd(a *session.App) *cobra.Command {
	opts := systemWaitOptions{app: a}
	cmd := session.NewLeaf(a, "wait", "Wait until the engine is up",
		"Progress is on standard error. Wrong credentials end it at once.",
		func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) })
	session.Timeout(cmd.Flags(), &opts.timeout)
	session.Interval(cmd.Flags(), &opts.interval)
	cmd.Flags().StringVar(&opts.feedsReady, "feedsready", "vulnerabilities", "feeds that must be there, separated by commas; '' for none")
	cmd.Flags().StringVar(&opts.servicesReady, "servicesready", "catalog,apiext,policy_engine,simplequeue,analyzer", "services that must be up, separated by commas")
	return cmd
}

func (o systemWaitOptions) run(ctx context.Context) error {
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	o.start = time.Now()
	o.app.Note("Starting checks to wait for anchore-engine to be available timeout=%s interval=%s", render.Float(o.timeout), render.Float(o.interval))
	if err := o.phase(ctx, fmt.Sprintf("API availability: Checking anchore-engine URL (%s)...", c.Root), "is the engine running, and is this its URL? Start it with: engine serve", func(ctx context.Context) (bool, error) {
		err := c.Check(ctx)
		if session.Lasting(err) {
			return false, err // waiting does not make a password right
		}
		return err == nil, nil
	}); err != nil {
		return err
	}
	o.app.Note("API availability: Success.")
	if err := o.phase(ctx, fmt.Sprintf("Service availability: Checking for service set (%s)...", o.servicesReady), "'anchore-cli system status' shows what is not up", func(ctx context.Context) (bool, error) {
		response, err := c.GetSystem(ctx)
		got, err := c.Object(ctx, response, err, "service_states")
		if session.Lasting(err) {
			return false, err
		}
		return err == nil && servicesUp(render.Items(render.At(got.Value, "service_states")), o.servicesReady), nil
	}); err != nil {
		return err
	}
	o.app.Note("Service availability: Success.")
	return o.waitForFeeds(ctx, c)
}

// phase looks until ready says so, or an error ends it.
func (o systemWaitOptions) phase(ctx context.Context, line, late string, ready func(context.Context) (bool, error)) error {
	for {
		left := o.timeout - time.Since(o.start).Seconds()
		if o.timeout >= 0 && left <= 0 {
			return session.Failf("timed out after %s seconds.", render.Float(o.timeout)).Hint("%s", late)
		}
		o.app.Note("%s", line)
		look, cancel := session.Within(ctx, o.timeout, o.start)
		ok, err := ready(look)
		cancel()
		if ok || err != nil {
			return err
		}
		wait := max(o.interval, session.ShortestPause)
		if o.timeout >= 0 {
			wait = max(0, min(wait, o.timeout-time.Since(o.start).Seconds()))
		}
		if err := session.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// servicesUp tells whether each service asked for, and each one reported, has an
// instance that is up.
func servicesUp(services []any, wanted string) bool {
	up := map[string]bool{}
	for _, name := range splitList(wanted) {
		up[name] = false
	}
	for _, s := range services {
		name := render.Text(render.At(s, "servicename"))
		up[name] = up[name] || render.At(s, "service_detail", "up") == true
	}
	for _, ok := range up {
		if !ok {
			return false
		}
	}
	return true
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// waitForFeeds waits for vulnerability data. An engine that has no feeds at all
// has nothing to wait for.
func (o systemWaitOptions) waitForFeeds(ctx context.Context, c *session.Client) error {
	wanted := splitList(o.feedsReady)
	if len(wanted) == 0 {
		return nil
	}
	none := false
	err := o.phase(ctx, fmt.Sprintf("Feed sync: Checking sync completion for feed set (%s)...", o.feedsReady), "'anchore-cli system status' shows what is not up", func(ctx context.Context) (bool, error) {
		response, err := c.Raw(ctx, http.MethodGet, c.Base()+"/system/feeds")
		got, err := c.Read(response, err)
		if err == nil && got.Status == http.StatusNotFound {
			none = true
			return true, nil
		}
		if err != nil || got.Status != http.StatusOK {
			return false, nil
		}
		return feedsSynced(render.Items(got.Value), wanted)
	})
	switch {
	case err != nil:
		return err
	case none:
		o.app.Note("Feed sync: this engine has no feeds; nothing to wait for.")
	default:
		o.app.Note("Feed sync: Success.")
	}
	return nil
}

// feedsSynced tells whether each wanted feed is complete: synced as a whole, and
// in each of its groups that is enabled.
func feedsSynced(feeds []any, wanted []string) (bool, error) {
	ready := 0
	for _, name := range wanted {
		for _, f := range feeds {
			if render.At(f, "name") != name {
				continue
			}
			if render.At(f, "enabled") != true {
				return false, session.Failf("Requesting wait for disabled feed: %s", name).Hint("leave it out of --feedsready; '' waits for no feed")
			}
			if feedSynced(f) {
				ready++
			}
			break
		}
	}
	return ready == len(wanted), nil
}

func feedSynced(feed any) bool {
	groups := render.Items(render.At(feed, "groups"))
	if render.IsEmpty(render.At(feed, "last_full_sync")) || len(groups) == 0 {
		return false
	}
	for _, g := range groups {
		if render.At(g, "enabled") == true && render.IsEmpty(render.At(g, "last_sync")) {
			return false
		}
	}
	return true
}

func newSystemErrorCodesCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "errorcodes", "Explain the codes in the details of errors", "",
		func(cmd *cobra.Command, _ []string) error { return runSystemErrorCodes(cmd.Context(), a) })
}

func runSystemErrorCodes(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ListErrorCodes(ctx)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	t := render.Table{Columns: []string{"Error Code", "Description"}, Trailing: true}
	for _, e := range render.Items(got.Value) {
		t.Rows = append(t.Rows, []any{render.At(e, "name"), wrapped(render.Text(render.At(e, "description")), 60)})
	}
	return a.Show(got.Value, a.Table(t))
}

// wrapped breaks text into lines of at most so many characters, as Python's
// textwrap.fill does: at white space and after hyphens inside words; what is longer
// than a line is cut.
func wrapped(text string, width int) string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(text) {
		for i, part := range hyphenated(word) {
			space := ""
			if i == 0 && line != "" {
				space = " "
			}
			length := utf8.RuneCountInString(part)
			for used+len(space)+length > width {
				if line != "" {
					lines, line, used, space = append(lines, line), "", 0, ""
					continue
				}
				r := []rune(part)
				lines, part, length = append(lines, string(r[:width])), string(r[width:]), length-width
			}
			line += space + part
			used += len(space) + length
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

var hyphen = regexp.MustCompile(`[\pL]-[\pL]`)

// hyphenated cuts a word behind each hyphen between letters.
func hyphenated(word string) []string {
	var parts []string
	for {
		at := hyphen.FindStringIndex(word)
		if at == nil {
			return append(parts, word)
		}
		cut := at[0] + strings.IndexByte(word[at[0]:], '-') + 1
		parts, word = append(parts, word[:cut]), word[cut:]
	}
}
