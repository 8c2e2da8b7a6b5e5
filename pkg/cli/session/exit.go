package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// usageError is a mistake in the arguments. Only it prints the usage line.
type usageError struct {
	message string
	bare    bool // click prints one of its messages without the usage line
	cmd     *cobra.Command
}

func (e *usageError) Error() string { return e.message }

// Usagef is a mistake in the arguments: it is printed behind the usage line, with
// exit code 2.
func Usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// Failure is any other error: what the engine answered, or a sentence of ours.
type Failure struct {
	Answer any      // the error as the engine sent it, or an object with a message
	Status int      // HTTP status, 0 if there was no answer
	code   int      // exit code
	silent bool     // everything was said already
	hints  []string // for standard error
	cause  error    // shown with --debug
}

func (e *Failure) Error() string {
	if m, ok := render.At(e.Answer, "message").(string); ok {
		return m
	}
	return render.Text(e.Answer)
}

func (e *Failure) Unwrap() error { return e.cause }

// Failf is an error that this program found, with exit code 2.
func Failf(format string, args ...any) *Failure {
	return &Failure{Answer: render.Object{{Key: "message", Value: fmt.Sprintf(format, args...)}}, code: 2}
}

// Exit sets the exit code.
func (e *Failure) Exit(code int) *Failure {
	e.code = code
	return e
}

// Hint adds a line for standard error.
func (e *Failure) Hint(format string, args ...any) *Failure {
	e.hints = append(e.hints, fmt.Sprintf(format, args...))
	return e
}

// HintRegistry adds to err what to do about a name that its registry does not have,
// if that is what err says.
func HintRegistry(err error) error {
	f := AsFailure(err)
	if f == nil {
		return err
	}
	codes := render.Text(render.At(f.Answer, "detail", "error_codes"))
	if f.Status == http.StatusNotFound || strings.Contains(codes, "_NOT_FOUND") {
		f.Hint("check the name; if the registry asks for a credential, 'anchore-cli registry list' shows the stored ones and 'anchore-cli registry add' adds one")
	}
	return err
}

// ExitSilently ends the program with a code, with nothing left to say.
func ExitSilently(code int) error { return &Failure{silent: true, code: code} }

// statusCode is the exit code for an HTTP failure: scripts know 401 and 500 from
// the rest.
func statusCode(status int) int {
	if status == 401 || status == 500 {
		return 2
	}
	return 1
}

// finish prints err where it belongs and returns the exit code: the one place
// where errors become codes. Without --output, errors are on standard output, as
// scripts expect them there.
func (a *App) finish(ctx context.Context, err error) int {
	var usage *usageError
	var fail *Failure
	code := 0
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		fmt.Fprint(a.Err, "\nAborted!\n")
		code = 1
	case errors.As(err, &usage):
		a.writeUsage(usage)
		code = 2
	case errors.As(err, &fail):
		code = fail.code
		if !fail.silent {
			a.writeFailure(fail)
		}
	default:
		code = 2
		a.writeFailure(Failf("%v", err))
	}
	if err := a.Out.Flush(); err != nil {
		fmt.Fprintf(a.Err, "Error: cannot write the output: %v\n", err)
		return max(code, 1)
	}
	return code
}

// writeUsage prints a usage error in click's frame.
func (a *App) writeUsage(e *usageError) {
	if e.bare {
		fmt.Fprintf(a.Err, "%s %s\n", a.talk.Bad("Error:"), render.Clean(e.message, false))
		return
	}
	cmd := e.cmd
	if cmd == nil {
		cmd = a.current
	}
	fmt.Fprintf(a.Err, "%s\nTry '%s -h' for help.\n\n%s %s\n", UsageLine(cmd), cmd.CommandPath(), a.talk.Bad("Error:"), render.Clean(e.message, false))
}

func (a *App) writeFailure(e *Failure) {
	var w io.Writer = a.Out
	colours := a.Colours
	if a.set.output != tableOutput && a.set.output != "" {
		w, colours = a.Err, a.talk
	}
	o, isObject := e.Answer.(render.Object)
	switch {
	case a.set.json || a.set.output == jsonOutput || !isObject || !describesError(o):
		fmt.Fprintln(w, render.JSON(e.Answer))
	default:
		fmt.Fprintln(w, errorText(o, colours))
	}
	a.Out.Flush() // what was said before the hints stays before them
	for _, h := range a.hints(e) {
		a.Hint("%s", h)
	}
	if a.set.debug && e.cause != nil {
		a.debugf("cause: %v", e.cause)
	}
}

// hints are those of the failure itself, or, where people read,
// what can be said of any with its status.
func (a *App) hints(e *Failure) []string {
	if len(e.hints) > 0 || e.Status == 0 || !a.ForPeople() {
		return e.hints
	}
	switch parent := a.current.Parent(); {
	case e.Status == http.StatusForbidden && a.current.Name() != "whoami":
		return []string{"'anchore-cli account whoami' shows who you are to the engine"}
	case e.Status == http.StatusNotFound && parent != nil && a.current.Name() != "list" && hasCommand(parent, "list"):
		return []string{fmt.Sprintf("'%s list' shows what there is", parent.CommandPath())}
	case e.Status >= http.StatusInternalServerError:
		return []string{"'anchore-cli --output wide system status' shows how the engine is doing; its log says more"}
	}
	if codes := render.Items(render.At(e.Answer, "detail", "error_codes")); len(codes) > 0 {
		return []string{fmt.Sprintf("'anchore-cli system errorcodes' explains %s", render.Text(codes[0]))}
	}
	return nil
}

func hasCommand(parent *cobra.Command, name string) bool {
	return slices.ContainsFunc(parent.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
}

func describesError(o render.Object) bool {
	for _, key := range []string{"message", "httpcode", "detail"} {
		if _, ok := o.Lookup(key); ok {
			return true
		}
	}
	return false
}

var requiredProperty = regexp.MustCompile(`'(\w+)'`)

// errorText is the original's error block, without its closing blank line.
func errorText(o render.Object, colours render.Palette) string {
	var b strings.Builder
	if m, ok := o.Lookup("message"); ok {
		fmt.Fprintf(&b, "%s %s\n", colours.Bad("Error:"), render.Clean(render.Text(m), true))
	}
	if c, ok := o.Lookup("httpcode"); ok {
		fmt.Fprintf(&b, "HTTP Code: %s\n", render.Clean(render.Text(c), false))
	}
	if d := o.Get("detail"); !render.IsEmpty(d) {
		text := render.Clean(render.Text(d), true)
		fmt.Fprintf(&b, "Detail: %s\n", text)
		if m := requiredProperty.FindStringSubmatch(text); m != nil && strings.Contains(text, "is a required property") {
			fmt.Fprintf(&b, "Hint: The \"%s\" key is not present in the JSON file, make sure it exists:\n\n    {\n        \"%s\": <value>\n        ...\n    }\n", m[1], m[1])
		}
	}
	return b.String()
}

// Hint prints advice on standard error.
func (a *App) Hint(format string, args ...any) {
	fmt.Fprintf(a.Err, "%s %s\n", a.talk.Careful("Hint:"), render.Clean(fmt.Sprintf(format, args...), true))
}

func (a *App) debugf(format string, args ...any) {
	if a.set.debug {
		fmt.Fprintf(a.Err, "DEBUG: %s\n", render.Clean(fmt.Sprintf(format, args...), false))
	}
}

// AsFailure returns the failure in err's chain, nil if there is none.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return nil
}
