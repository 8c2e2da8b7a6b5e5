// Command bench measures what the engine promises to be quick at and writes the
// figures to docs/benchmarks.md. What is compared is measured in turns in one run,
// so that a busy machine slows both alike. The parts run in this process or as the
// built programs, against a real registry and a real receiver on loopback.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
)

func main() {
	programs := flag.String("bin", "bin/bench", "`directory` of the programs engine and anchore-cli, stripped")
	out := flag.String("out", "docs/benchmarks.md", "`file` to write")
	only := flag.String("only", "", "measure only the `section` of that name and print it")
	profile := flag.String("cpuprofile", "", "write a CPU profile of this process to `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := profiled(*profile, func() error { return run(ctx, *programs, *out, *only) }); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// profiled runs fn and writes the profile of it, if file is not "".
func profiled(file string, fn func() error) error {
	if file == "" {
		return fn()
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = fn()
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

// run measures everything, or one section, and writes the page.
func run(ctx context.Context, programs, out, only string) error {
	programs, err := filepath.Abs(programs)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "anchore-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is in the system's temporary directory
	bin := binaries{engine: filepath.Join(programs, "engine"), cli: filepath.Join(programs, "anchore-cli")}
	machine := readMachine()
	var done []section
	for _, m := range measurements() {
		if only != "" && only != m.name {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name)
		own := filepath.Join(dir, m.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		s, err := m.measure(ctx, own, bin)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		done = append(done, s)
	}
	var page bytes.Buffer
	writePage(&page, machine, done)
	if only != "" {
		_, err = os.Stdout.Write(page.Bytes())
		return err
	}
	return os.WriteFile(out, page.Bytes(), 0o644)
}

// binaries are the programs as they are released.
type binaries struct{ engine, cli string }

// measurement makes one section of the page. It may use dir.
type measurement struct {
	name    string
	measure func(ctx context.Context, dir string, bin binaries) (section, error)
}

func measurements() []measurement {
	return []measurement{
		{"cycle", measureCycle},
		{"hint", measureHint},
		{"list", measureList},
		{"engine", measureEngine},
		{"cli", measureCLI},
	}
}
