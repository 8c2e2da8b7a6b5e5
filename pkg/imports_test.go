package pkg

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	ours    = "github.com/anchore/anchore-engine/pkg/"
	metrics = "github.com/prometheus/client_golang"
)

// may lists, for each package, all that it may import beside the standard library:
// ours by name, others by their path, which covers what is below it. The table is
// closed: a new package or a new dependency fails until someone decides its row.
// An import points down; each heavy dependency has one door.
var may = map[string][]string{
	// words
	"anchore": {},
	"api":     {"github.com/oapi-codegen/runtime", "github.com/getkin/kin-openapi"},
	// leaves
	"store":           {},
	"store/disk":      {"store", "anchore"},
	"store/bolt":      {"store", "store/disk", "anchore", "go.etcd.io/bbolt"},
	"store/dir":       {"store", "store/disk", "anchore"},
	"store/storetest": {"store", "anchore", "github.com/google/go-cmp"},
	"store/blobtest":  {"store", "anchore", "github.com/google/go-cmp"},
	"certfile":        {},
	"spelling":        {},
	"config/retired":  {},
	"config":          {"anchore", "certfile", "config/retired", "spelling", "github.com/spf13/viper", "github.com/spf13/pflag", "gopkg.in/yaml.v3"},
	"run":             {},
	"alarm":           {"anchore", "store"},
	"seal":            {"anchore", "store/disk"},
	"oci/answer":      {"anchore"},
	"oci/aws":         {"anchore", "oci/answer"},
	"oci/challenge":   {},
	"oci/layer":       {},
	"oci":             {"anchore", "oci/answer", "oci/aws", "oci/challenge", "oci/layer", "github.com/google/go-containerregistry", "golang.org/x/time", "golang.org/x/sync"},
	"oci/ocitest":     {"anchore", "oci", "github.com/google/go-containerregistry"},
	"sbom":            {"anchore"},
	"sbom/sbomtest":   {"anchore", "sbom", "github.com/google/go-cmp"},
	"sbom/layers":     {},
	"sbom/syft":       {"anchore", "sbom", "sbom/layers", "github.com/anchore/syft", "github.com/anchore/stereoscope", "golang.org/x/sys", "modernc.org/sqlite"},
	// state: what owns rows knows keys and rows; change, eventlog, delivery, login,
	// credential, watchlist, archive and analysis act on them; the parent is what spans tables
	"catalog/table":    {"store", "github.com/fxamacker/cbor/v2"},
	"catalog/account":  {"anchore", "store", "catalog/table", "golang.org/x/crypto"},
	"catalog/cause":    {"anchore", "store", "catalog/table"},
	"catalog/event":    {"anchore", "store", "catalog/table"},
	"catalog/image":    {"anchore", "store", "catalog/table"},
	"catalog/imports":  {"anchore", "store", "catalog/table", "catalog/account", "catalog/change"},
	"catalog/outbox":   {"anchore", "store", "catalog/table"},
	"catalog/analysis": {"anchore", "store", "catalog/table", "catalog/account", "catalog/cause", "catalog/change", "catalog/image", "catalog/work"},
	"catalog/announce": {"anchore", "store", "catalog/table", "catalog/account", "catalog/cause", "catalog/change", "catalog/eventlog", "catalog/image",
		"catalog/outbox", "catalog/subscription", "catalog/work"},
	"catalog/watchlist": {"anchore", "store", "catalog/table", "catalog/account", "catalog/change", "catalog/eventlog",
		"catalog/repository", "catalog/subscription"},
	"catalog/archive": {"anchore", "store", "catalog/table", "catalog/account", "catalog/change", "catalog/eventlog",
		"catalog/image", "catalog/work"},
	"catalog/change":     {"store", "catalog/account"},
	"catalog/credential": {"anchore", "store", "catalog/table", "catalog/account", "catalog/change", "catalog/eventlog", "catalog/registry"},
	"catalog/delivery":   {"anchore", "store", "catalog/table", "catalog/account", "catalog/change", "catalog/eventlog", "catalog/outbox"},
	"catalog/eventlog": {"anchore", "store", "catalog/table", "catalog/account", "catalog/cause", "catalog/change", "catalog/event",
		"catalog/outbox", "catalog/trouble"},
	"catalog/login":        {"anchore", "store", "catalog/table", "catalog/account", "catalog/change"},
	"catalog/registry":     {"anchore", "store", "catalog/table"},
	"catalog/repository":   {"store", "catalog/table"},
	"catalog/subscription": {"anchore", "store", "catalog/table"},
	"catalog/trouble":      {"anchore", "store", "catalog/table"},
	"catalog/work":         {"anchore", "store", "catalog/table"},
	"catalog": {"anchore", "store", "catalog/table", "catalog/account", "catalog/analysis", "catalog/announce", "catalog/archive", "catalog/cause", "catalog/change",
		"catalog/credential", "catalog/delivery", "catalog/event", "catalog/eventlog", "catalog/image", "catalog/imports", "catalog/login", "catalog/outbox",
		"catalog/registry", "catalog/repository", "catalog/subscription", "catalog/watchlist", "catalog/work"},
	// work
	"intake":            {"anchore", "catalog", "oci", "sbom", "store", "github.com/Masterminds/semver/v3"},
	"watch":             {"anchore", "catalog", "oci", metrics, "golang.org/x/sync", "golang.org/x/time"},
	"analyze":           {"anchore", "catalog", "oci", "sbom", "store", metrics, "golang.org/x/sync", "golang.org/x/sys"},
	"notify":            {"anchore", "catalog", "catalog/outbox", "certfile", metrics, "golang.org/x/net/http/httpguts", "golang.org/x/sync", "golang.org/x/time"},
	"notify/notifytest": {"anchore", "notify", "github.com/google/go-cmp"},
	// edges
	"server":          {"anchore", "api", "catalog", "intake", "sbom", "server/addition", "server/document", "server/rest"},
	"server/addition": {"anchore", "api", "intake", "server/rest"},
	"server/document": {"anchore", "api", "sbom", "server/rest"},
	"server/rest":     {"anchore", "api", "github.com/getkin/kin-openapi"},
	"cli":             {"anchore", "api", "cli/archive", "cli/image", "cli/operator", "cli/render", "cli/session", "github.com/spf13/cobra"},
	"cli/operator":    {"anchore", "api", "cli/render", "cli/session", "github.com/spf13/cobra"},
	"cli/archive":     {"api", "cli/image", "cli/render", "cli/session", "github.com/spf13/cobra"},
	"cli/image":       {"anchore", "api", "cli/render", "cli/session", "github.com/spf13/cobra"},
	"cli/session":     {"anchore", "api", "cli/render", "spelling", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "gopkg.in/yaml.v3"},
	"cli/render":      {"github.com/olekukonko/tablewriter"},
	// root
	"engine": {"anchore", "api", "alarm", "analyze", "catalog", "catalog/credential", "certfile", "config", "intake", "notify", "oci", "run", "sbom", "sbom/syft", "seal",
		"server", "server/rest", "store", "store/bolt", "store/dir", "store/disk", "watch", metrics},
	// programs that drive the built binaries
	"bench": {"anchore", "api", "catalog", "intake", "oci", "oci/ocitest", "server", "store", "store/bolt", "store/dir", "watch",
		metrics, "golang.org/x/sync"},
	"e2e":        {"oci/ocitest"},
	"quickstart": {"oci/ocitest", "github.com/google/go-containerregistry"},
}

func allowed(from, imp string) bool {
	return slices.ContainsFunc(may[from], func(p string) bool {
		if !strings.Contains(strings.Split(p, "/")[0], ".") {
			return imp == ours+p
		}
		return imp == p || strings.HasPrefix(imp, p+"/")
	})
}

// TestImportRules reads the files itself: a test that asked another program would
// keep passing from the test cache.
func TestImportRules(t *testing.T) {
	walk(t, func(path string, f *ast.File) {
		from := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		if _, known := may[from]; !known {
			t.Errorf("%s: package %s has no row in the import table", path, from)
			return
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			std := !strings.Contains(strings.Split(imp, "/")[0], ".")
			if !std && !allowed(from, imp) {
				t.Errorf("%s: %s may not import %s", path, from, imp)
			}
		}
	})
}

// TestNoDefaultClient: the default client has no timeout, and in a test it is a
// request to the world.
func TestNoDefaultClient(t *testing.T) {
	forbidden := []string{"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport"}
	walk(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "http" && pkg.Obj == nil && slices.Contains(forbidden, sel.Sel.Name) {
				t.Errorf("%s: uses http.%s; make a client with timeouts", path, sel.Sel.Name)
			}
			return true
		})
	})
}

// TestNoInit: what exists is listed where it is used, and nothing happens by import.
func TestNoInit(t *testing.T) {
	walk(t, func(path string, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: has an init function", path)
			}
		}
	})
}

// walk parses every Go file below pkg.
func walk(t *testing.T, visit func(path string, f *ast.File)) {
	t.Helper()
	if err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(path, f)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
