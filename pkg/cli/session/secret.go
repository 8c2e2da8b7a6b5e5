package session

import (
	"bufio"
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
// line of standard input. who is whose password it is.
func (a *App) Secret(args []string, i int, who string) (string, error) {
	if i < len(args) && args[i] != "-" {
		a.Note("NOTE: a password on the command line can be seen by others on this host and stays in the shell's history; give - instead to be asked for it, or to have it read from standard input")
		return args[i], nil
	}
	a.Out.Flush()
	var text string
	var err error
	if isTerminal(a.in) {
		text, err = a.askSecret(who)
	} else {
		a.Note("Reading the password of %s from standard input", who)
		text, err = bufio.NewReader(io.LimitReader(a.in, maxSecret)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return "", Failf("cannot read the password of %s: %v", who, err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", Failf("no password of %s was given", who)
	}
	return text, nil
}

func (a *App) askSecret(who string) (string, error) {
	fmt.Fprint(a.Err, render.Clean("Password of "+who+": ", false))
	text, err := term.ReadPassword(int(a.in.(*os.File).Fd())) // safe: isTerminal says yes of files alone
	fmt.Fprintln(a.Err)
	return string(text), err
}
