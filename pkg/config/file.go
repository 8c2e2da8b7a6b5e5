package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/anchore/anchore-engine/pkg/config/retired"
)

const (
	maxFile  = 1 << 20 // bytes; the sample has 10 KiB
	maxNodes = 5000    // visited; YAML aliases can multiply a small file
)

// setting is one key's text from a file, the environment or a flag.
type setting struct {
	key    string // canonical: free parts filled in, hosts as references name them
	names  []string
	row    *key
	text   string
	origin Problem // source, line, column and key as written
}

// reader walks one file.
type reader struct {
	source   string
	env      map[string]string
	rows     []key
	used     []string // variables that values of the file name
	nodes    int
	settings []setting
	problems Problems
}

func (r *reader) report(n *yaml.Node, path []string, warning bool, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		Source: r.source, Line: n.Line, Column: n.Column, Key: strings.Join(path, "."),
		Message: fmt.Sprintf(format, args...), Warning: warning,
	})
}

// read takes the text of a file apart.
func (r *reader) read(data []byte) {
	if len(data) > maxFile {
		r.problems = append(r.problems, Problem{Source: r.source, Message: fmt.Sprintf("is larger than %d bytes", maxFile)})
		return
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			r.problems = append(r.problems, Problem{Source: r.source, Message: "is not YAML: " + yamlReason(err)})
		}
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problems = append(r.problems, Problem{Source: r.source, Message: "holds more than one YAML document; one is allowed"})
	}
	if len(doc.Content) == 1 {
		if root := doc.Content[0]; root.Kind == yaml.MappingNode || isNull(root) {
			r.walk(nil, root)
		} else {
			r.report(root, nil, false, "must be a mapping of keys to values")
		}
	}
}

// yamlReason cuts the library's name and the texts it may quote from the file.
func yamlReason(err error) string {
	reason, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "`")
	return printable(reason)
}

// walk reads node, which stands at path.
func (r *reader) walk(path []string, node *yaml.Node) {
	if r.nodes++; r.nodes > maxNodes {
		if r.nodes == maxNodes+1 {
			r.report(node, nil, false, "the file has more than %d values", maxNodes)
		}
		return
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if len(path) > 0 && r.special(path, node) {
		return
	}
	row, names := r.row(path)
	switch {
	case node.Kind == yaml.MappingNode && row == nil && (len(path) == 0 || r.section(path)):
		r.mapping(path, node)
	case isNull(node) && (row != nil || r.section(path)):
		// `policy_eval:` and `url: null` are how the original's files say "none"
	case row == nil && r.section(path):
		r.report(node, path, false, "must be a section with keys of its own, or empty")
	case row == nil:
		r.report(node, path, true, "unknown key, ignored%s", nearMiss(strings.Join(path, "."), r.rows))
	case node.Kind == yaml.SequenceNode && row.kind.list:
		r.list(path, node, row, names)
	case node.Kind != yaml.ScalarNode:
		r.report(node, path, false, "must be a single value: %s", row.kind.what)
	default:
		r.scalar(path, node, row, names)
	}
}

// list reads a list of single values as one text.
func (r *reader) list(path []string, node *yaml.Node, row *key, names []string) {
	whole := yaml.Node{Kind: yaml.ScalarNode, Line: node.Line, Column: node.Column}
	var values []string
	for _, n := range node.Content {
		if n.Kind != yaml.ScalarNode {
			r.report(n, path, false, "must be %s", row.kind.what)
			return
		}
		values = append(values, n.Value)
	}
	whole.Value = strings.Join(values, ",")
	r.scalar(path, &whole, row, names)
}

// mapping reads the keys of node. The same key twice is a mistake that YAML
// readers answer by silently taking one of them.
func (r *reader) mapping(path []string, node *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, below := node.Content[i], node.Content[i+1]
		at := append(slices.Clone(path), name.Value)
		switch {
		case name.Kind != yaml.ScalarNode || name.Tag == "!!merge":
			r.report(name, path, false, "keys must be plain text; YAML merge keys are not read")
		case seen[name.Value] > 0:
			r.report(name, at, false, "stands twice; the first is in line %d", seen[name.Value])
		default:
			seen[name.Value] = name.Line
			if r.free(at) == "<registry>" {
				if _, ok := referenceHost(name.Value); !ok {
					r.report(name, at, false, notAHost)
				}
			}
			r.walk(at, below)
		}
	}
}

// free is the part of a key that the last name of path stands for, "" if it is named so.
func (r *reader) free(path []string) string {
	for _, k := range r.rows {
		if pattern := strings.Split(k.name, "."); k.free() && len(pattern) >= len(path) {
			if _, ok := matchPath(pattern[:len(path)], path); ok && strings.HasPrefix(pattern[len(path)-1], "<") {
				return pattern[len(path)-1]
			}
		}
	}
	return ""
}

// special reports what is neither a key nor unknown, and says whether it did.
func (r *reader) special(path []string, node *yaml.Node) bool {
	if len(path) == 1 && slices.Contains(misplaced(), path[0]) {
		r.report(node, path, false, "belongs under webhooks:")
		return true
	}
	for _, k := range retired.Keys() {
		if pattern := strings.Split(k.Name, "."); len(path) >= len(pattern) {
			if _, ok := matchPath(pattern, path[:len(pattern)]); ok && !r.section(path) && !r.known(path) {
				r.report(node, path, true, "a key of the original without a meaning here, ignored: %s", k.Reason)
				return true
			}
		}
	}
	return false
}

func (r *reader) known(path []string) bool {
	row, _ := r.row(path)
	return row != nil
}

// row finds the row of path.
func (r *reader) row(path []string) (*key, []string) {
	for i := range r.rows {
		if names, ok := r.rows[i].match(path); ok {
			return &r.rows[i], names
		}
	}
	return nil, nil
}

// section says whether keys stand below path.
func (r *reader) section(path []string) bool {
	for _, k := range r.rows {
		for _, name := range append([]string{k.name}, k.old...) {
			if pattern := strings.Split(name, "."); len(pattern) > len(path) {
				if _, ok := matchPath(pattern[:len(path)], path); ok {
					return true
				}
			}
		}
	}
	return false
}

func (r *reader) scalar(path []string, node *yaml.Node, row *key, names []string) {
	for _, m := range anyVariable.FindAllStringSubmatch(node.Value, -1) {
		if name := m[1]; strings.HasPrefix(name, "ANCHORE") {
			r.used = append(r.used, name)
		} else if !row.kind.hidden || m[0] == node.Value { // a part of a secret is not shown
			r.report(node, path, true, "%s is taken as it stands: only variables whose names begin with ANCHORE are replaced", m[0])
		}
	}
	text, missing := expand(node.Value, r.env)
	if missing != "" {
		r.report(node, path, false, "the environment variable %s is not set", missing)
		return
	}
	if unset(text) && row.guards {
		r.report(node, path, false, "is empty; give a value, or leave the key out")
		return
	}
	if unset(text) && text != node.Value {
		return // "${ANCHORE_X}" of an empty or "null" variable, as the original's images have
	}
	names = row.asReferences(names)
	r.settings = append(r.settings, setting{
		key: row.canonical(names), names: names, row: row, text: text,
		origin: Problem{Source: r.source, Line: node.Line, Column: node.Column, Key: strings.Join(path, ".")},
	})
}

// canonical is k's name with names in its free parts.
func (k key) canonical(names []string) string {
	parts := strings.Split(k.name, ".")
	for i, p := range parts {
		if strings.HasPrefix(p, "<") {
			parts[i], names = names[0], names[1:]
		}
	}
	return strings.Join(parts, ".")
}

var (
	variablePattern = regexp.MustCompile(`\$\{(ANCHORE[A-Za-z0-9_]*)\}`)
	anyVariable     = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
)

// expand replaces ${ANCHORE…} in a value by the environment's variables, only in
// this form and with these names, as the original. It works on values after YAML
// was parsed, so that a password such as 012345 or yes stays what it is. The first
// variable that is not set is returned as missing.
func expand(text string, env map[string]string) (expanded, missing string) {
	expanded = variablePattern.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		v, ok := env[name]
		if !ok && missing == "" {
			missing = name
		}
		return v
	})
	return expanded, missing
}

// unset says whether a variable's value stands for none: the original's images
// define many variables as "null".
func unset(s string) bool { return s == "" || s == "null" }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
