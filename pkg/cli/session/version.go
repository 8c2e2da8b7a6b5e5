package session

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// WriteVersion prints the version, in the line that --version of the original
// printed, and what the program was built from and with.
func (a *App) WriteVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "anchore-cli, version %s\ncommit %s\n%s %s/%s\n", a.Version, a.BuiltFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// BuiltFrom is the commit that the program was built from: the one it was given, or
// that the go command recorded; "unknown" if there is neither.
func (a *App) BuiltFrom() string { return cmp.Or(a.Commit, recordedCommit(), "unknown") }

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
