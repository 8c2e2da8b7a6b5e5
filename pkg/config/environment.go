package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"strings"
)

// envFile is the variable with the name of a file of further variables.
const envFile = "ANCHORE_ENV_FILE"

// environment is the environment, given in the form of os.Environ, and the variables
// of the file that it may name.
func environment(environ []string) (map[string]string, Problems) {
	env := make(map[string]string, len(environ))
	for _, e := range environ {
		if name, v, ok := strings.Cut(e, "="); ok {
			env[name] = v
		}
	}
	file := env[envFile]
	if unset(file) {
		return env, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return env, Problems{{Source: "environment variable " + envFile, Value: file, Message: "cannot be read: " + err.Error()}}
	}
	return env, addVariables(env, file, string(data))
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// addVariables reads lines of NAME=value, the value bare or in quotes. Only names that
// begin with ANCHORE count, as in the original, and what env has already
// holds. Of two lines with one name the last does.
func addVariables(env map[string]string, file, text string) (problems Problems) {
	given, number := maps.Clone(env), 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, v, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || !variableName.MatchString(name) { // the line is not shown: it may be half a secret
			problems = append(problems, Problem{Source: file, Line: number, Column: 1, Message: "must be NAME=value, empty, or a comment that begins with #"})
			continue
		}
		if strings.HasPrefix(name, "ANCHORE") && unset(given[name]) {
			env[name] = unquote(strings.TrimSpace(v))
		}
	}
	return problems
}

func unquote(s string) string {
	if n := len(s); n > 1 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}
