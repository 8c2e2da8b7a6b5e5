package e2e

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// quickstart returns the command that takes the tour with the programs under test.
func quickstart(ctx context.Context, t *testing.T, tmp string) *exec.Cmd {
	t.Helper()
	cmd := besidePrograms(ctx, t, "quickstart")
	cmd.Env = []string{"HOME=" + tmp, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + tmp}
	return cmd
}

// besidePrograms builds a package of this module and returns the command that runs it
// with the programs under test.
func besidePrograms(ctx context.Context, t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, name)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../"+name).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	for name, path := range map[string]string{"engine": programs.engine, "anchore-cli": programs.cli} {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return exec.CommandContext(ctx, program, append([]string{"-bin", dir}, args...)...)
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tmp := t.TempDir()
	cmd := quickstart(ctx, t, tmp)
	cmd.Env = append(cmd.Env, // what configures an engine of the user's is nothing to the tour
		"ANCHORE_WEBHOOK_DESTINATION_URL=http://127.0.0.1:1/", "ANCHORE_DEFAULT_ADMIN_PASSWORD=mine", "ANCHORE_CLI_PASS=mine",
		"ANCHORE_LOG_FORMAT=json", "ANCHORE_LOG_LEVEL=WARN", "ANCHORE_LISTEN=not-an-address")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the quickstart failed: %v\n%s", err, out)
	}
	rest := string(out)
	for _, landmark := range []string{
		"pushed 127.0.0.1:", "engine serve", "$ anchore-cli image add 127.0.0.1:", "Analysis Status: not_analyzed",
		"$ anchore-cli image wait", "Analysis Status: analyzed", "$ anchore-cli image content", "ocitest-app",
		"$ anchore-cli subscription list", "analysis_update          True", "policy_eval              False", "tag_update               True", "vuln_update              False",
		"POST /general/analysis_update/admin", `"analysis_status": "analyzed"`,
		"version 2.0.0", "POST /general/tag_update/admin", `"curr_eval": [`,
		"POST /general/analysis_update/admin",
		"$ anchore-cli event list", "user.image.tag.updated", "Where to go next",
	} {
		_, after, found := strings.Cut(rest, landmark)
		if !found {
			t.Fatalf("the transcript has no %q after what came before:\n%s", landmark, out)
		}
		rest = after
	}
	checkNothingLeft(t, tmp)
}

func TestQuickstartWithAnImageOfAnotherRegistry(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reg, tmp := newRegistry(t), t.TempDir()
	ref := reg.ref("public/image", "v1")
	reg.push(t, ref, "a")
	cmd := quickstart(ctx, t, tmp)
	cmd.Env = append(cmd.Env, "QUICKSTART_IMAGE="+ref)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the quickstart failed: %v\n%s", err, out)
	}
	for _, landmark := range []string{"$ anchore-cli image add " + ref, "POST /general/analysis_update/admin", "Nobody here can move the tag", "Where to go next"} {
		if !bytes.Contains(out, []byte(landmark)) {
			t.Errorf("the transcript has no %q:\n%s", landmark, out)
		}
	}
	checkNothingLeft(t, tmp)
}

// TestQuickstartInterrupted: a terminal's Ctrl-C goes to the whole process group,
// kill to one process.
func TestQuickstartInterrupted(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(pid int) int{
		"Ctrl-C": func(pid int) int { return -pid },
		"kill":   func(pid int) int { return pid },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tmp := t.TempDir()
			cmd := quickstart(ctx, t, tmp)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var out syncBuffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the first command of the tour", func() bool { return strings.Contains(out.String(), "$ anchore-cli image") })
			if got := processesOf(t, tmp); len(got) < 2 {
				t.Errorf("processes %v, want the quickstart and the engine", got)
			}
			if err := syscall.Kill(target(cmd.Process.Pid), syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("after the interrupt: %v\n%s", err, out.String())
			}
			checkNothingLeft(t, tmp)
		})
	}
}

func TestQuickstartWithoutAReader(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tmp := t.TempDir()
	cmd := quickstart(ctx, t, tmp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "$ anchore-cli image") {
	}
	if err := out.Close(); err != nil { // as "| head" does
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the quickstart went on without a reader")
	}
	checkNothingLeft(t, tmp)
}

// checkNothingLeft fails if a quickstart left files or processes behind.
func checkNothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("the quickstart left %s behind", entry.Name())
	}
	if got := processesOf(t, dir); len(got) != 0 {
		t.Errorf("the quickstart left processes behind: %v", got)
	}
}
