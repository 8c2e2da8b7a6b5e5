package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs under test, set once by TestMain.
var programs struct{ engine, cli string }

// TestMain builds both programs, unless $ENGINE_BIN and $ANCHORE_CLI_BIN name them,
// or $ENGINE_BIN the directory that holds both.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "anchore-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	given := map[string]string{"engine": os.Getenv("ENGINE_BIN"), "anchore-cli": os.Getenv("ANCHORE_CLI_BIN")}
	if given["anchore-cli"] == "" && isDir(given["engine"]) {
		given["anchore-cli"] = given["engine"]
	}
	for name, to := range map[string]*string{"engine": &programs.engine, "anchore-cli": &programs.cli} {
		if *to, err = program(dir, given[name], name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// program returns the path of a program: the given one, or the one in the given
// directory, else one that is built into dir.
func program(dir, path, name string) (string, error) {
	if path != "" {
		if isDir(path) {
			path = filepath.Join(path, name)
		}
		return filepath.Abs(path)
	}
	path = filepath.Join(dir, name)
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/"+name)
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
