package session

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// Config is one run of the program.
type Config struct {
	Args    []string // without the program's name
	Environ []string // "NAME=value", as os.Environ returns them
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Version string // "" for a build without one
	Commit  string
}

// App is what the commands of one run share.
type App struct {
	in      io.Reader
	Out     *bufio.Writer // answers; flushed before anything that must come after
	Err     io.Writer     // all talk
	rawOut  io.Writer
	Colours render.Palette // of Out
	talk    render.Palette // of Err
	env     environment
	Version string
	Commit  string

	flags globalFlags
	// insecureEngine is --insecure before the group.
	insecureEngine bool
	set            settings
	current        *cobra.Command // the command of a usage error
	lazy           *Client
}

// New is an App for one run. It touches nothing of the process but what c
// names, so that several may run at once.
func New(c Config) *App {
	a := &App{in: c.In, Out: bufio.NewWriterSize(c.Out, 64<<10), rawOut: c.Out, Err: c.Err,
		env: newEnvironment(c.Environ), Version: cmp.Or(c.Version, "dev"), Commit: c.Commit}
	a.Colours, a.talk = render.NewPalette(isTerminal(c.Out), a.env), render.NewPalette(isTerminal(c.Err), a.env)
	return a
}

// Run runs the command line args under root and returns the exit code.
func (a *App) Run(ctx context.Context, root *cobra.Command, args []string) int {
	a.current = root
	if args == nil {
		args = []string{} // cobra would take the process's own
	}
	args, a.insecureEngine = takeInsecure(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	return a.finish(ctx, root.ExecuteContext(ctx))
}

// prepare settles the configuration once the flags are read.
func (a *App) prepare(cmd *cobra.Command) error {
	a.current = cmd
	flags := a.flags
	flags.insecure = flags.insecure || a.insecureEngine
	var err error
	a.set, err = loadSettings(flags, a.env)
	for _, w := range a.set.warnings {
		fmt.Fprintf(a.Err, "%s %s\n", a.talk.Careful("WARN:"), render.Clean(w, false))
	}
	return err
}

// Client makes the client when a command first needs it: help and bad arguments
// need no server.
func (a *App) Client() (*Client, error) {
	if a.lazy == nil {
		c, err := newClient(a.set, fmt.Sprintf("anchore-cli/%s (%s)", a.Version, runtime.GOOS), a.debugf)
		if err != nil {
			return nil, err
		}
		a.lazy = c
	}
	return a.lazy, nil
}

// Show prints an answer in the form asked for; text prints it for people.
func (a *App) Show(v any, text func(w io.Writer) error) error {
	switch {
	case a.set.output == yamlOutput:
		return render.WriteAll(a.Out, render.YAML(v))
	case a.set.json || a.set.output == jsonOutput:
		return render.WriteAll(a.Out, render.JSON(v), "\n")
	}
	return text(a.Out)
}

// Success prints the word that scripts look for.
func (a *App) Success(v any) error {
	return a.Show(v, func(w io.Writer) error { return render.WriteAll(w, "Success\n") })
}

// Table prints t as text for Show, with its first line unless --no-headers is given.
func (a *App) Table(t render.Table) func(io.Writer) error {
	return func(w io.Writer) error { return t.Write(w, !a.set.noHeaders) }
}

// Wide tells whether tables have all their columns: --output wide.
func (a *App) Wide() bool { return a.set.output == wideOutput && !a.set.json }

// Note prints progress and remarks on standard error, after what was said on
// standard output.
func (a *App) Note(format string, args ...any) {
	a.Out.Flush()
	fmt.Fprintf(a.Err, "%s\n", render.Clean(fmt.Sprintf(format, args...), false))
}

// isTerminal tells whether a person looks at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Confirmed asks a question and reads the answer. The question is on standard
// output, as the original's are, unless --output asks for a form that it would spoil.
func (a *App) Confirmed(ctx context.Context, question string) bool {
	var w io.Writer = a.Err
	if a.Historical() {
		w = a.Out
	}
	fmt.Fprint(w, render.Clean(question, false))
	return a.AnsweredYes(ctx)
}

// AnsweredYes reads the answer to a question that was just printed. Only y or Y
// is a yes; the end of input is a no, and so is an interrupt.
func (a *App) AnsweredYes(ctx context.Context) bool {
	a.Out.Flush()
	line, _ := Await(ctx, func() (string, error) { return bufio.NewReader(a.in).ReadString('\n') })
	return strings.EqualFold(strings.TrimSpace(line), "y")
}

// Historical tells whether standard output is the original's, errors and all:
// --output asks for no other form.
func (a *App) Historical() bool { return a.set.output == tableOutput }

// ForPeople tells whether answers are printed as tables and lines, not as JSON or
// YAML.
func (a *App) ForPeople() bool {
	return !a.set.json && (a.set.output == tableOutput || a.set.output == wideOutput)
}

// ForScreen is text as it is, but without what a terminal would obey if that is
// where answers go.
func (a *App) ForScreen(text string) string {
	if isTerminal(a.rawOut) {
		return render.Clean(text, true)
	}
	return text
}

// Interactive tells whether somebody is there to answer a question.
func (a *App) Interactive() bool { return isTerminal(a.in) }

// Redrawable tells whether a line on standard error can be drawn over.
func (a *App) Redrawable() bool { return isTerminal(a.Err) && a.env("TERM") != "dumb" }

// Alone tells whether a person sees both answers and talk on a terminal, where one
// line that is drawn over tells how things go.
func (a *App) Alone() bool { return a.Redrawable() && isTerminal(a.rawOut) }

// Columns is how wide a line may be to be drawn over on standard error.
func (a *App) Columns() int {
	if f, ok := a.Err.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width - 1 // the last column may wrap
		}
	}
	return 79
}
