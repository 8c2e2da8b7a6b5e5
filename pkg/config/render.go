package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/anchore/anchore-engine/pkg/config/retired"
)

//go:generate go test -run ^TestGenerated$ -update .

// listed returns the rows of the reference page: the endpoints' once, under
// <endpoint>.
func listed() []key {
	var out []key
	for _, k := range keys() {
		parts := strings.SplitN(k.name, ".", 3)
		if len(parts) == 3 && parts[0] == "webhooks" {
			if parts[1] != endpointNames[0] {
				continue
			}
			k.name = "webhooks.<endpoint>." + parts[2]
		}
		out = append(out, k)
	}
	return out
}

// Reference is docs/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, k := range listed() {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n- Value: %s\n", k.name, escapeMarkdown(k.doc), escapeMarkdown(k.kind.what))
		switch {
		case k.inherit != "":
			fmt.Fprintf(&b, "- Default: that of `%s`\n", k.inherit)
		case k.def != "":
			fmt.Fprintf(&b, "- Default: `%s`\n", k.def)
		default:
			b.WriteString("- Default: none\n")
		}
		if len(k.old) > 0 {
			fmt.Fprintf(&b, "- Also: `%s`\n", strings.Join(k.old, "`, `"))
		}
		if variables := k.documentedVariables(); len(variables) > 0 {
			fmt.Fprintf(&b, "- Environment: `%s`\n", strings.Join(variables, "`, `"))
		}
		if k.flag != "" {
			fmt.Fprintf(&b, "- Flag: `--%s`\n", k.flag)
		}
	}
	b.WriteString("\n## Keys of the original without a meaning here\n\nThey are ignored with a warning, and so is what stands below them.\n\n| Key | Why |\n|---|---|\n")
	for _, k := range retired.Keys() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k.Name, escapeMarkdown(k.Reason))
	}
	return b.String()
}

// documentedVariables are k's variables, with the endpoint's name left open.
func (k key) documentedVariables() []string {
	if !strings.HasPrefix(k.name, "webhooks.<endpoint>.") {
		return k.variables()
	}
	if strings.Count(k.name, "<") > 1 {
		return nil
	}
	name := "ANCHORE_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "__"))
	out := []string{name}
	for _, v := range k.env {
		out = append(out, v+" (for general)")
	}
	return out
}

func escapeMarkdown(s string) string {
	return strings.NewReplacer("<", `\<`, "|", `\|`, "*", `\*`).Replace(s)
}

// Sample is config.yaml: every key with its default, commented out, so that the
// file as it is changes nothing.
func Sample() string {
	var b strings.Builder
	b.WriteString(sampleHead)
	var open []string // the sections that the last key stands in
	for _, k := range sampled() {
		path := strings.Split(k.name, ".")
		same := 0
		for same < len(open) && same < len(path)-1 && open[same] == path[same] {
			same++
		}
		if same == 0 {
			b.WriteString("\n")
		}
		comment(&b, k)
		for i := same; i < len(path)-1; i++ {
			fmt.Fprintf(&b, "#%s%s:\n", strings.Repeat("  ", i), sampleName(path[i]))
		}
		last := len(path) - 1
		fmt.Fprintf(&b, "#%s%s: %s\n", strings.Repeat("  ", last), sampleName(path[last]), quote(k.sampleValue()))
		open = path[:last]
	}
	return b.String()
}

// sampled returns the rows of the sample: all keys of one endpoint, the URLs of the others.
func sampled() []key {
	var out []key
	for _, k := range keys() {
		parts := strings.SplitN(k.name, ".", 3)
		if len(parts) == 3 && parts[0] == "webhooks" && parts[1] != endpointNames[0] && parts[2] != "url" {
			continue
		}
		out = append(out, k)
	}
	return out
}

func (k key) sampleValue() string { return cmp.Or(k.example, k.def) }

// comment writes the doc above the section lines that a key opens.
func comment(b *strings.Builder, k key) {
	line := "#"
	for word := range strings.FieldsSeq(k.name + ": " + k.doc) {
		if len(line)+len(word) > 98 {
			b.WriteString("#" + line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString("#" + line + "\n")
}

func sampleName(part string) string {
	switch part {
	case "<registry>":
		return "docker.io"
	case "<header>":
		return "X-Team"
	}
	return part
}

// quote writes a value so that YAML reads the same text.
func quote(s string) string {
	if strings.ContainsAny(s, ":<>{}#'\"") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}

const sampleHead = `## Configuration of Anchore Engine. Everything is commented out and shows the default, or an
## example where there is none. Lines with ## explain; remove one # to use a key.
## Generated from pkg/config by "make generate"; docs/configuration.md says more.
`

const referenceHead = `# Configuration

<!-- Generated from pkg/config by "make generate". -->

## Where values come from

A value is taken from the command line's flag, else from the environment, else from the file, else it is the default.

- **File**: ` + "`--config FILE`, else `--configdir DIR`, else `$ANCHORE_CONFIG`, else `config.yaml` in `$ANCHORE_CONFIG_DIR`, else `./config.yaml`, else `/config/config.yaml`" + `. Without any, the defaults hold. ` + "[config.yaml](../config.yaml)" + ` is a sample with every key commented out.
- **Environment**: the variable of a key is ` + "`ANCHORE_`" + `, then the key in upper case with two underscores for each dot: ` + "`ANCHORE_WATCH__INTERVAL`" + ` sets ` + "`watch.interval`" + `. Some of the original's names hold as well; they stand beside their key. An empty variable, or one that says ` + "`null`" + `, counts as not set. Keys with a free name (` + "`<registry>`, `<header>`" + `) can be set in the file only. ` + "`ANCHORE_ENV_FILE`" + ` names a file with more variables, one a line as ` + "`NAME=value`" + `, the value bare or in quotes; as in the original, only names that begin with ` + "`ANCHORE`" + ` count, and a variable that is set in the environment itself wins.
- **` + "`${NAME}`" + ` in the file** is replaced by the environment variable of that name if it begins with ` + "`ANCHORE`" + `; others are left as they are, with a warning. One that is not set is an error. It works on each value after YAML was read, so a password such as ` + "`012345`" + ` or ` + "`yes`" + ` keeps its text.

` + "`engine config check FILE`" + ` reports everything that is wrong, each with file, line, column, key, value and what is allowed. A wrong value keeps the engine from starting. An unknown key is a warning. A key that may hold a secret is reported without its value. Files with certificates and keys are read, as at the start.

Paths are relative to the directory that the engine is started in, for ` + "`config check`" + ` the one that it is called in.

Times are whole seconds, as in the original, or a duration such as ` + "`90s`, `5m`, `72h`" + `.

## Webhooks

` + "`<endpoint>`" + ` is ` + "`general`" + `, which receives all notifications except ` + "`error_event`" + `, or the type that it receives: ` + "`policy_eval`, `tag_update`, `vuln_update`, `analysis_update`, `error_event`, `event_log`" + `. A type's own endpoint and ` + "`general`" + ` both receive it. An entry without a ` + "`url`" + `, such as ` + "`policy_eval: {}`" + `, is no endpoint. What an endpoint does not say itself, it takes from the top of the section where the key may stand there too, user and password each by itself; one that logs in otherwise (by a token, a header or its url) takes neither. Endpoints at the top level of the file are an error: they belong under ` + "`webhooks:`" + `.

` + "```yaml" + `
webhooks:
  webhook_user: 'user'
  webhook_pass: 'pass'
  ssl_verify: False
  general:
    url: 'http://localhost:9090/general/<notification_type>/<userId>'
  policy_eval:
    url: 'http://localhost:9090/somepath/<userId>'
    webhook_user: 'mehuser'
    webhook_pass: 'mehpass'
  error_event:
    url: 'http://localhost:9090/error_event/'
` + "```" + `

## Keys
`
