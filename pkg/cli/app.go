package cli

import (
	"bufio"
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

// app is what the commands of one run share.
type app struct {
	in      io.Reader
	out     *bufio.Writer // answers; flushed before anything that must come after
	err     io.Writer     // all talk
	rawOut  io.Writer
	colours render.Palette // of out
	talk    render.Palette // of err
	env     environment
	version string
	commit  string

	flags globalFlags
	// insecureEngine is --insecure before the group.
	insecureEngine bool
	set            settings
	current        *cobra.Command // the command of a usage error
	lazy           *client
}

// Main runs one command line and returns the exit code. It touches nothing of
// the process but what c names, so that several may run at once.
func Main(ctx context.Context, c Config) int {
	if c.Version == "" {
		c.Version = "dev"
	}
	a := &app{in: c.In, out: bufio.NewWriterSize(c.Out, 64<<10), rawOut: c.Out, err: c.Err,
		env: newEnvironment(c.Environ), version: c.Version, commit: c.Commit}
	a.colours, a.talk = render.NewPalette(isTerminal(c.Out), a.env), render.NewPalette(isTerminal(c.Err), a.env)
	root := newRootCmd(a)
	a.current = root
	args := c.Args
	if args == nil {
		args = []string{} // cobra would take the process's own
	}
	args, a.insecureEngine = takeInsecure(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	return a.finish(ctx, root.ExecuteContext(ctx))
}

// prepare settles the configuration once the flags are read.
func (a *app) prepare(cmd *cobra.Command) error {
	a.current = cmd
	flags := a.flags
	flags.insecure = flags.insecure || a.insecureEngine
	var err error
	a.set, err = loadSettings(flags, a.env)
	for _, w := range a.set.warnings {
		fmt.Fprintf(a.err, "%s %s\n", a.talk.Careful("WARN:"), render.Clean(w, false))
	}
	return err
}

// client makes the client when a command first needs it: help and bad arguments
// need no server.
func (a *app) client() (*client, error) {
	if a.lazy == nil {
		c, err := newClient(a.set, fmt.Sprintf("anchore-cli/%s (%s)", a.version, runtime.GOOS), a.debugf)
		if err != nil {
			return nil, err
		}
		a.lazy = c
	}
	return a.lazy, nil
}

// show prints an answer in the form asked for; text prints it for people.
func (a *app) show(v any, text func(w io.Writer) error) error {
	switch {
	case a.set.output == yamlOutput:
		return render.WriteAll(a.out, render.YAML(v))
	case a.set.json || a.set.output == jsonOutput:
		return render.WriteAll(a.out, render.JSON(v), "\n")
	}
	return text(a.out)
}

// success prints the word that scripts look for.
func (a *app) success(v any) error {
	return a.show(v, func(w io.Writer) error { return render.WriteAll(w, "Success\n") })
}

func (a *app) table(t render.Table) func(io.Writer) error {
	return func(w io.Writer) error { return t.Write(w, !a.set.noHeaders) }
}

func (a *app) wide() bool { return a.set.output == wideOutput && !a.set.json }

// note prints progress and remarks on standard error, after what was said on
// standard output.
func (a *app) note(format string, args ...any) {
	a.out.Flush()
	fmt.Fprintf(a.err, "%s\n", render.Clean(fmt.Sprintf(format, args...), false))
}

// isTerminal tells whether a person looks at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// answeredYes reads the answer to a question that was just printed. Only y or Y
// is a yes; the end of input is a no.
func (a *app) answeredYes() bool {
	a.out.Flush()
	line, _ := bufio.NewReader(a.in).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(line), "y")
}
