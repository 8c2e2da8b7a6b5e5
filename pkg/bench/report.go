package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// section is what one measurement found.
type section struct {
	title   string
	results []result
	notes   string // how it was measured, in Markdown
}

// result is one figure and, if it has one, its goal.
type result struct {
	what, figure string
	goal         string // "" for a figure that is told without a goal
	met          bool
}

// machine is what the figures depend on.
type machine struct {
	model, memory, kernel, load string
}

func readMachine() machine {
	return machine{
		model:  field("/proc/cpuinfo", "model name"),
		memory: field("/proc/meminfo", "MemTotal"),
		kernel: firstLine("/proc/sys/kernel/osrelease"),
		load:   firstLine("/proc/loadavg"),
	}
}

// field returns the value of a "name: value" line, "unknown" if there is none.
func field(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return "unknown"
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return line
}

// writePage writes the page. Errors are the writer's to keep.
func writePage(w io.Writer, m machine, sections []section) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("# Benchmarks\n\n<!-- Written by \"make bench\". -->\n")
	p("What is compared was measured in turns in one run, so that other load slows both.\nA time is the median; in brackets are the least and the greatest. A ratio is the\nmedian of the turns, with its range in brackets.\n")
	p("| machine | |\n|---|---|")
	p("| CPU | %s, %d cores |", m.model, runtime.NumCPU())
	p("| memory | %s |", m.memory)
	p("| system | %s/%s, kernel %s |", runtime.GOOS, runtime.GOARCH, m.kernel)
	p("| Go | %s |", runtime.Version())
	p("| load average before (1, 5, 15 minutes) | %s |\n", strings.Join(strings.Fields(m.load)[:min(3, len(strings.Fields(m.load)))], ", "))
	for _, s := range sections {
		p("## %s\n", s.title)
		p("| what | measured | goal | met |\n|---|---|---|---|")
		for _, r := range s.results {
			met := ""
			if r.goal != "" {
				met = map[bool]string{true: "yes", false: "**no**"}[r.met]
			}
			p("| %s | %s | %s | %s |", r.what, r.figure, r.goal, met)
		}
		p("\n%s\n", strings.TrimSpace(s.notes))
	}
}
