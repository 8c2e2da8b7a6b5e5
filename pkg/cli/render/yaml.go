package render

import (
	"fmt"
	"regexp"
	"strings"
)

// YAML renders v as PyYAML's safe_dump(v, default_flow_style=False) does:
// block style, keys sorted, list items not indented, texts folded at 80 columns,
// non-ASCII escaped. The original printed events so.
func YAML(v any) string {
	w := yamlWriter{}
	w.node(v, 0, false)
	return w.b.String()
}

// yamlWidth is the column after which a text is folded at its next space.
const yamlWidth = 80

type yamlWriter struct {
	b      strings.Builder
	column int
}

func (w *yamlWriter) put(s string) {
	w.b.WriteString(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		w.column = len(s) - i - 1
	} else {
		w.column += len(s)
	}
}

func (w *yamlWriter) indent(n int) { w.put("\n" + strings.Repeat(" ", n)) }

// node writes v and its newline at the current position; further lines of it
// begin at column indent. inline tells that "- " stands before it.
func (w *yamlWriter) node(v any, indent int, inline bool) {
	first := true
	start := func() {
		if !(first && inline) {
			w.put(strings.Repeat(" ", indent))
		}
		first = false
	}
	switch t := v.(type) {
	case Object:
		if len(t) == 0 {
			w.put("{}\n")
			return
		}
		for _, m := range Sorted(t) {
			start()
			w.scalar(m.Key, indent, true)
			w.put(":")
			w.value(m.Value, indent)
		}
	case []any:
		if len(t) == 0 {
			w.put("[]\n")
			return
		}
		for _, e := range t {
			start()
			w.put("- ")
			w.node(e, indent+2, true)
		}
	default:
		w.scalar(v, indent, false)
		w.put("\n")
	}
}

// value writes what follows "key:".
func (w *yamlWriter) value(v any, indent int) {
	switch t := v.(type) {
	case Object:
		if len(t) > 0 {
			w.put("\n")
			w.node(t, indent+2, false)
			return
		}
	case []any:
		if len(t) > 0 {
			w.put("\n")
			w.node(t, indent, false)
			return
		}
	}
	w.put(" ")
	w.node(v, indent+2, true)
}

func (w *yamlWriter) scalar(v any, indent int, key bool) {
	switch t := v.(type) {
	case nil:
		w.put("null")
	case bool, int:
		w.put(strings.ToLower(Text(t)))
	case Number:
		w.put(yamlNumber(t))
	case string:
		w.text([]rune(t), t, indent, key)
	default:
		panic(fmt.Sprintf("render: no YAML form for %T", v))
	}
}

func yamlNumber(n Number) string {
	s := pyNumber(n)
	if strings.HasSuffix(s, "inf") {
		return strings.Replace(s, "inf", ".inf", 1)
	}
	if strings.Contains(s, "e") && !strings.Contains(s, ".") {
		return strings.Replace(s, "e", ".0e", 1)
	}
	return s
}

func (w *yamlWriter) text(r []rune, s string, indent int, key bool) {
	plain, single := yamlStyles(r)
	multiline := strings.ContainsRune(s, '\n')
	switch {
	case plain && s != "" && !yamlTyped.MatchString(s):
		w.plain(r, indent, !key)
	case single && !(key && multiline):
		w.single(r, indent, !key)
	default:
		w.double(r, indent, !key)
	}
}

// yamlTyped matches the plain texts that YAML 1.1 reads as something else than
// a text: booleans, numbers, null, times, the merge and value keys.
var yamlTyped = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF`,
	`[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?`,
	`[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)`,
	`[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+`,
	`~|null|Null|NULL|<<|=`,
	`[0-9]{4}-[0-9]{2}-[0-9]{2}`,
	`[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?`,
}, "|") + `)$`)

// yamlStyles tells which styles a text may have, by the rules of PyYAML's
// emitter; double quotes always may.
func yamlStyles(r []rune) (plain, single bool) {
	s := string(r)
	if s == "" {
		return false, true
	}
	special := strings.ContainsFunc(s, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') })
	spaceBreak := strings.Contains(s, " \n")
	breakSpace := strings.Contains(s, "\n ")
	single = !special && !spaceBreak && !breakSpace
	plain = single && !strings.Contains(s, "\n") && !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " ") &&
		!strings.HasPrefix(s, "---") && !strings.HasPrefix(s, "...") && !yamlIndicators(s)
	return plain, single
}

func yamlIndicators(s string) bool {
	spaceAt := func(i int) bool { return i >= len(s) || s[i] == ' ' }
	return strings.ContainsRune("#,[]{}&*!|>'\"%@`", rune(s[0])) ||
		strings.ContainsRune("?-", rune(s[0])) && spaceAt(1) ||
		strings.Contains(s, ": ") || strings.HasSuffix(s, ":") || strings.Contains(s, " #")
}

// words cuts r into runs: spaces, newlines, everything else.
func words(r []rune) []string {
	var runs []string
	class := func(c rune) int { return strings.IndexRune(" \n", c) }
	for i := 0; i < len(r); {
		j := i
		for j < len(r) && class(r[j]) == class(r[i]) {
			j++
		}
		runs = append(runs, string(r[i:j]))
		i = j
	}
	return runs
}

func (w *yamlWriter) plain(r []rune, indent int, split bool) {
	for _, run := range words(r) {
		if run == " " && w.column > yamlWidth && split {
			w.indent(indent)
			continue
		}
		w.put(run)
	}
}

func (w *yamlWriter) single(r []rune, indent int, split bool) {
	w.put("'")
	runs := words(r)
	for i, run := range runs {
		switch {
		case run == " " && w.column > yamlWidth && split && i > 0 && i < len(runs)-1:
			w.indent(indent)
		case strings.HasPrefix(run, "\n"):
			w.put(run) // one newline more than the text has, by indent: single breaks fold into spaces
			w.indent(indent)
		default:
			w.put(strings.ReplaceAll(run, "'", "''"))
		}
	}
	w.put("'")
}

func (w *yamlWriter) double(r []rune, indent int, split bool) {
	w.put(`"`)
	start := 0
	for end := 0; end <= len(r); end++ {
		last := end == len(r)
		if last || r[end] == '"' || r[end] == '\\' || r[end] < ' ' || r[end] > '~' {
			w.put(string(r[start:end]))
			start = end
			if !last {
				w.put(yamlEscape(r[end]))
				start = end + 1
			}
		}
		if !split || end == 0 || end >= len(r)-1 || r[end] != ' ' && start < end || w.column+end-start <= yamlWidth {
			continue
		}
		if start < end {
			w.put(string(r[start:end]))
			start = end
		}
		w.put(`\`)
		w.indent(indent)
		if r[start] == ' ' {
			w.put(`\`)
		}
	}
	w.put(`"`)
}

func yamlEscape(c rune) string {
	if i := strings.IndexRune("\x00\a\b\t\n\v\f\r\x1b\"\\\u0085\u00a0\u2028\u2029", c); i >= 0 {
		names := map[rune]string{0: "0", '\a': "a", '\b': "b", '\t': "t", '\n': "n", '\v': "v", '\f': "f", '\r': "r",
			0x1b: "e", '"': `"`, '\\': `\`, 0x85: "N", 0xa0: "_", 0x2028: "L", 0x2029: "P"}
		return `\` + names[c]
	}
	switch {
	case c <= 0xFF:
		return fmt.Sprintf(`\x%02X`, c)
	case c <= 0xFFFF:
		return fmt.Sprintf(`\u%04X`, c)
	}
	return fmt.Sprintf(`\U%08X`, c)
}
