package config

import (
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/spelling"
)

// misplaced are keys that people put at the top of the file and that mean nothing
// there: the original ignored them silently.
func misplaced() []string {
	return append(endpointNames[:], "webhook_user", "webhook_pass", "ssl_verify", "notification_retry_timeout")
}

// strays are variables that look like the rule's but name no key, or that differ
// little from one that does. Used are those that the file names; the command line
// client has its own.
func strays(rows []key, env map[string]string, used []string) Problems {
	known := []string{"ANCHORE_CONFIG", "ANCHORE_CONFIG_DIR", envFile}
	for _, k := range rows {
		known = append(known, k.variables()...)
	}
	var out Problems
	for name, value := range env {
		if !strings.HasPrefix(name, "ANCHORE_") || strings.HasPrefix(name, "ANCHORE_CLI_") || slices.Contains(known, name) || slices.Contains(used, name) {
			continue
		}
		hint := ""
		if strings.Contains(name, "__") {
			hint = closest(name, known)
		} else if hint = mistyped(name, known); hint == "" || unset(value) {
			continue // somebody else's
		}
		out = append(out, Problem{Source: "environment variable " + printable(name), Message: "names no key, ignored" + hint, Warning: true})
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// mistyped suggests the known variable from which name differs in no more than its
// underscores and one other character, or nothing.
func mistyped(name string, known []string) string {
	if len(name) > 200 {
		return ""
	}
	bare := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "_", "")) }
	best, least := "", 2
	for _, k := range known {
		if d := spelling.Distance(bare(name), bare(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// nearMiss suggests the key that was probably meant, or nothing.
func nearMiss(path string, rows []key) string {
	var known []string
	for _, k := range rows {
		known = append(known, k.name)
	}
	return closest(path, known)
}

// closest suggests the known name that differs least from name, if it is close.
func closest(name string, known []string) string {
	if len(name) > 200 {
		return ""
	}
	best, least := "", 1+len(name)/5
	for _, k := range known {
		if d := spelling.Distance(name, k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
