package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is something wrong with one key.
type Problem struct {
	Source  string // the file, "environment variable X" or "flag --x"
	Line    int    // in the file, from 1; 0 if it is not of a line
	Column  int
	Key     string // as it was written
	Value   string // as it was written; "" if there is none or it is secret
	Message string // what is wrong and what is allowed
	Warning bool   // the engine starts nevertheless
}

// String is one line: "config.yaml:3:11: watch.interval: "often": must be …".
func (p Problem) String() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(p.Source)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(printable(p.Key) + ": ")
	}
	if p.Value != "" {
		fmt.Fprintf(&b, "%q: ", p.Value)
	}
	b.WriteString(p.Message)
	return b.String()
}

// printable quotes a text that would disturb a terminal or a log.
func printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// Problems is a list in the order of the file.
type Problems []Problem

// String has one line for each problem.
func (ps Problems) String() string {
	lines := make([]string, 0, len(ps))
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Errors returns those that keep the engine from starting.
func (ps Problems) Errors() Problems { return ps.only(false) }

// Warnings returns those that do not.
func (ps Problems) Warnings() Problems { return ps.only(true) }

func (ps Problems) only(warning bool) Problems {
	var out Problems
	for _, p := range ps {
		if p.Warning == warning {
			out = append(out, p)
		}
	}
	return out
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}
