package cli

import (
	"context"
	"encoding/base64"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newImageContentCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "content INPUT_IMAGE [CONTENT_TYPE]", "Show what an image contains",
		"Without CONTENT_TYPE, the types that there are.",
		func(cmd *cobra.Command, args []string) error { return a.runImageContent(cmd.Context(), args) })
	cmd.ValidArgsFunction = a.complete(a.tags, func(*cobra.Command, []string) []string {
		return []string{"os", "files", "npm", "gem", "python", "java", "binary", "go", "malware"}
	})
	return cmd
}

func (a *app) runImageContent(ctx context.Context, args []string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	digest, err := c.resolve(ctx, args[0], "cannot use input image string (no discovered imageDigest)")
	if err != nil {
		return err
	}
	if len(args) == 1 {
		response, err := c.ListImageContent(ctx, digest)
		got, err := c.do(ctx, response, err)
		if err != nil {
			return err
		}
		return a.show(got.value, func(w io.Writer) error { return availableTypes(got.value).write(w) })
	}
	response, err := c.GetImageContent(ctx, digest, args[1])
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	content := at(got.value, "content")
	return a.show(got.value, func(w io.Writer) error { return a.writeContent(w, args[0], args[1], content) })
}

func availableTypes(list any) *keyLines {
	var k keyLines
	for _, name := range items(list) {
		k.add(pyText(name), "available")
	}
	k.blank()
	return &k
}

func (a *app) writeContent(w io.Writer, image, kind string, content any) error {
	switch kind {
	case "manifest", "dockerfile", "docker_history":
		text, ok := decodeContent(content)
		if !ok {
			return failf("There is no image content (%s) to provide for %s", kind, image)
		}
		if isTerminal(a.rawOut) {
			text = clean(text, true)
		}
		return writeAll(w, text, "\n")
	}
	t := contentTable(kind, items(content))
	if len(t.rows) == 0 {
		a.hint("the image %s has no content of type %s", image, kind)
	}
	return t.write(w, !a.set.noHeaders)
}

// decodeContent reads base64 in a text, or in texts to be joined.
func decodeContent(content any) (string, bool) {
	var parts strings.Builder
	if s, ok := content.(string); ok {
		parts.WriteString(s)
	}
	for _, s := range items(content) {
		parts.WriteString(pyText(s))
	}
	text, err := base64.StdEncoding.DecodeString(parts.String())
	return plainText(text), err == nil && len(text) > 0
}

func contentTable(kind string, content []any) table {
	switch kind {
	case "os":
		t := table{columns: []string{"Package", "Version", "Licenses"}}
		for _, p := range content {
			t.rows = append(t.rows, []any{at(p, "package"), at(p, "version"), licenses(p)})
		}
		return t
	case "files":
		t := columnsTable(content, []string{"Filename", "Size"}, []string{"filename", "size"})
		t.sortBy, t.descend = 1, true
		return t
	case "npm", "gem", "python":
		return columnsTable(content, []string{"Package", "Version", "Location"}, []string{"package", "version", "location"})
	case "java":
		return columnsTable(content, []string{"Package", "Specification-Version", "Implementation-Version", "Location"},
			[]string{"package", "specification-version", "implementation-version", "location"})
	case "malware":
		return malwareTable(content)
	}
	return otherTable(content)
}

func columnsTable(content []any, columns, keys []string) table {
	t := table{columns: columns}
	for _, p := range content {
		row := make([]any, len(keys))
		for i, k := range keys {
			row[i] = at(p, k)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func licenses(p any) any {
	list, ok := at(p, "licenses").([]any)
	if !ok {
		return at(p, "license")
	}
	var names []string
	for _, l := range list {
		names = append(names, pyText(l))
	}
	return strings.Join(names, " ")
}

func malwareTable(content []any) table {
	t := table{columns: []string{"Scanner", "Matched Signature", "Path"}, sortBy: 2}
	for _, scanner := range content {
		for _, f := range items(at(scanner, "findings")) {
			t.rows = append(t.rows, []any{at(scanner, "scanner"), orDefault(at(f, "signature"), "unknown"), orDefault(at(f, "path"), "unknown")})
		}
	}
	return t
}

// otherTable shows packages if the first entry looks like one, else whatever
// keys the first entry has.
func otherTable(content []any) table {
	if len(content) == 0 {
		return table{}
	}
	first, _ := content[0].(object)
	if !isEmpty(first.get("package")) && !isEmpty(first.get("version")) && !isEmpty(first.get("location")) {
		return columnsTable(content, []string{"Package", "Version", "Location"}, []string{"package", "version", "location"})
	}
	var keys []string
	for _, m := range first {
		keys = append(keys, m.key)
	}
	if len(keys) == 0 {
		return table{}
	}
	t := columnsTable(content, keys, keys)
	t.sortBy = -1
	return t
}
