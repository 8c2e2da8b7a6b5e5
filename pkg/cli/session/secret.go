package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// maxSecret is more than a password: a key file as a service account has it, in bytes.
const maxSecret = 64 << 10

// Secret returns a password that was given as an argument, or asks for it if the
// argument is missing or "-": on a terminal without showing it, else the first
// line of standard input. who is whose password it is. An interrupt ends the question.
func (a *App) Secret(ctx context.Context, args []string, i int, who string) (string, error) {
	if i < len(args) && args[i] != "-" {
		a.Note("NOTE: a password on the command line can be seen by others on this host and stays in the shell's history; give - instead to be asked for it, or to have it read from standard input")
		return args[i], nil
	}
	a.Out.Flush()
	var text string
	var err error
	if isTerminal(a.in) {
		text, err = a.askSecret(ctx, who)
	} else {
		a.Note("Reading the password of %s from standard input", who)
		text, err = Await(ctx, func() (string, error) {
			return bufio.NewReader(io.LimitReader(a.in, maxSecret)).ReadString('\n')
		})
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return "", Failf("cannot read the password of %s: %v", who, err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", Failf("no password of %s was given", who).Hint("type it at the question, or give it as the first line of standard input")
	}
	return text, nil
}

// askSecret reads a line of the terminal without showing it. The terminal shows what is
// typed again however that ends.
func (a *App) askSecret(ctx context.Context, who string) (string, error) {
	terminal := int(a.in.(*os.File).Fd()) // safe: isTerminal says yes of files alone
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	fmt.Fprint(a.Err, render.Clean("Password of "+who+": ", false))
	text, err := Await(ctx, func() ([]byte, error) { return term.ReadPassword(terminal) })
	if ctx.Err() != nil {
		return "", errors.Join(context.Cause(ctx), term.Restore(terminal, before))
	}
	fmt.Fprintln(a.Err)
	return string(text), err
}
