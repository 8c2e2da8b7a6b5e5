package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// writeVersion prints the version, in the line that --version of the original
// printed, and what the program was built from and with.
func (a *app) writeVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "anchore-cli, version %s\ncommit %s\n%s %s/%s\n", a.version, a.builtFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func newVersionCmd(a *app) *cobra.Command {
	return newLeaf(a, "version", "Show the version, the commit and the Go version of this program",
		"Asks no engine: 'anchore-cli system status' shows the engine's version.",
		func(*cobra.Command, []string) error { return a.runVersion() })
}

func (a *app) runVersion() error {
	v := object{{"commit", a.builtFrom()}, {"go", runtime.Version()}, {"platform", runtime.GOOS + "/" + runtime.GOARCH}, {"version", a.version}}
	return a.show(v, a.writeVersion)
}

// builtFrom is the commit that the program was built from: the one it was given, or
// that the go command recorded.
func (a *app) builtFrom() string { return cmp.Or(a.commit, recordedCommit(), "unknown") }

func recordedCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
