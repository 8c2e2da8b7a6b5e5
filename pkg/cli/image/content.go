package image

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func newContentCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "content INPUT_IMAGE [CONTENT_TYPE]", "Show what an image contains",
		"Without CONTENT_TYPE, the types that there are.",
		func(cmd *cobra.Command, args []string) error { return runContent(cmd.Context(), a, args) })
	cmd.ValidArgsFunction = a.Complete(a.Tags, func(*cobra.Command, []string) []string {
		return []string{"os", "files", "npm", "gem", "python", "java", "binary", "go", "malware"}
	})
	return cmd
}

func runContent(ctx context.Context, a *session.App, args []string) error {
	return documents{
		command: "anchore-cli image content", key: "content",
		list: func(c *session.Client, digest string) (*http.Response, error) { return c.ListImageContent(ctx, digest) },
		get: func(c *session.Client, digest, kind string) (*http.Response, error) {
			return c.GetImageContent(ctx, digest, kind)
		},
		write: func(w io.Writer, answer any, image, kind string) error {
			return writeContent(a, w, image, kind, render.At(answer, "content"))
		},
	}.run(ctx, a, args)
}

// documents is what the engine has of an image under several names.
type documents struct {
	command string                                                               // that shows them
	key     string                                                               // of a document in its answer
	list    func(c *session.Client, digest string) (*http.Response, error)       // the names that there are
	get     func(c *session.Client, digest, kind string) (*http.Response, error) // the one of that name
	write   func(w io.Writer, answer any, image, kind string) error
}

// run shows the names that there are for an image, or the document of the name that
// the second argument gives.
func (d documents) run(ctx context.Context, a *session.App, args []string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	digest, err := resolve(ctx, c, args[0], "cannot use input image string (no discovered imageDigest)")
	if err != nil {
		return err
	}
	if len(args) == 1 {
		response, err := d.list(c, digest)
		got, err := c.List(ctx, response, err)
		if err != nil {
			return err
		}
		return a.Show(got.Value, func(w io.Writer) error { return availableTypes(got.Value).Write(w) })
	}
	response, err := d.get(c, digest, args[1])
	got, err := c.Object(ctx, response, err, d.key)
	if f := session.AsFailure(err); f != nil && (f.Status == http.StatusNotFound || f.Status == http.StatusBadRequest) && d.lacks(ctx, c, digest, args[1]) {
		return f.Hint("'%s %s' lists the types that there are", d.command, args[0])
	}
	if err != nil {
		return err
	}
	return a.Show(got.Value, func(w io.Writer) error { return d.write(w, got.Value, args[0], args[1]) })
}

// lacks tells whether the engine knows the image and has nothing of that name for it.
func (d documents) lacks(ctx context.Context, c *session.Client, digest, kind string) bool {
	response, err := d.list(c, digest)
	got, err := c.List(ctx, response, err)
	return err == nil && !slices.Contains(render.Items(got.Value), any(kind))
}

func availableTypes(list any) *render.KeyLines {
	var k render.KeyLines
	for _, name := range render.Items(list) {
		k.Add(render.Text(name), "available")
	}
	k.Blank()
	return &k
}

func writeContent(a *session.App, w io.Writer, image, kind string, content any) error {
	switch kind {
	case "manifest", "dockerfile", "docker_history":
		text, ok := decodeContent(content)
		if !ok {
			f := session.Failf("There is no image content (%s) to provide for %s", kind, image)
			if kind == "dockerfile" {
				f.Hint("an image has the Dockerfile that it was added with: anchore-cli image add --dockerfile FILE TAG")
			}
			return f
		}
		text = a.ForScreen(text)
		return render.WriteAll(w, text, "\n")
	}
	t := contentTable(kind, render.Items(content))
	if len(t.Rows) == 0 {
		a.Hint("the image %s has no content of type %s", image, kind)
	}
	return a.Table(t)(w)
}

// decodeContent reads base64 in a text, or in texts to be joined.
func decodeContent(content any) (string, bool) {
	var parts strings.Builder
	if s, ok := content.(string); ok {
		parts.WriteString(s)
	}
	for _, s := range render.Items(content) {
		parts.WriteString(render.Text(s))
	}
	text, err := base64.StdEncoding.DecodeString(parts.String())
	return render.PlainText(text), err == nil && len(text) > 0
}

func contentTable(kind string, content []any) render.Table {
	switch kind {
	case "os":
		t := render.Table{Columns: []string{"Package", "Version", "Licenses"}}
		for _, p := range content {
			t.Rows = append(t.Rows, []any{render.At(p, "package"), render.At(p, "version"), licenses(p)})
		}
		return t
	case "files":
		t := render.Columns(content, []string{"Filename", "Size"}, []string{"filename", "size"})
		t.SortBy, t.Descend = 1, true
		return t
	case "npm", "gem", "python":
		return render.Columns(content, []string{"Package", "Version", "Location"}, []string{"package", "version", "location"})
	case "java":
		return render.Columns(content, []string{"Package", "Specification-Version", "Implementation-Version", "Location"},
			[]string{"package", "specification-version", "implementation-version", "location"})
	case "malware":
		return malwareTable(content)
	}
	return otherTable(content)
}

func licenses(p any) any {
	list, ok := render.At(p, "licenses").([]any)
	if !ok {
		return render.At(p, "license")
	}
	var names []string
	for _, l := range list {
		names = append(names, render.Text(l))
	}
	return strings.Join(names, " ")
}

func malwareTable(content []any) render.Table {
	t := render.Table{Columns: []string{"Scanner", "Matched Signature", "Path"}, SortBy: 2}
	for _, scanner := range content {
		for _, f := range render.Items(render.At(scanner, "findings")) {
			t.Rows = append(t.Rows, []any{render.At(scanner, "scanner"), render.OrDefault(render.At(f, "signature"), "unknown"), render.OrDefault(render.At(f, "path"), "unknown")})
		}
	}
	return t
}

// otherTable shows packages if the first entry looks like one, else whatever
// keys the first entry has.
func otherTable(content []any) render.Table {
	if len(content) == 0 {
		return render.Table{}
	}
	first, _ := content[0].(render.Object)
	if !render.IsEmpty(first.Get("package")) && !render.IsEmpty(first.Get("version")) && !render.IsEmpty(first.Get("location")) {
		return render.Columns(content, []string{"Package", "Version", "Location"}, []string{"package", "version", "location"})
	}
	var keys []string
	for _, m := range first {
		keys = append(keys, m.Key)
	}
	if len(keys) == 0 {
		return render.Table{}
	}
	t := render.Columns(content, keys, keys)
	t.SortBy = -1
	return t
}
