package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is what a terminal shows, as it comes.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// newTerminal is a terminal with its keyboard, and what it shows.
func newTerminal(t *testing.T) (keyboard, terminal *os.File, shown *screen) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown = &screen{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		keyboard.WriteTo(shown) // until the terminal is closed on its other side
	}()
	t.Cleanup(func() {
		terminal.Close()
		<-read
		keyboard.Close()
	})
	return keyboard, terminal, shown
}

// echoes tells whether the terminal shows what is typed.
func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience / 2); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// Ctrl-C at the question for a password ends the program, and leaves a terminal that
// shows what is typed.
func TestInterruptedPassword(t *testing.T) {
	keyboard, terminal, shown := newTerminal(t)
	cmd := command(t, "registry", "add", "quay.io", "bob")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "asked without echo", func() bool { return strings.HasSuffix(shown.String(), ": ") && !echoes(t, terminal) })
	if _, err := keyboard.WriteString("hunter2\x03"); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !echoes(t, terminal) {
		t.Errorf("%v; the terminal shows what is typed: %v", err, echoes(t, terminal))
	}
	const want = "Password of bob at quay.io: \r\nAborted!\r\n"
	waitFor(t, "said to be aborted", func() bool { return strings.HasSuffix(shown.String(), "Aborted!\r\n") })
	if got := strings.ReplaceAll(shown.String(), "^C", ""); got != want {
		t.Errorf("shown: %q; want %q", got, want)
	}
}
