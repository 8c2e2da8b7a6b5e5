package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// TestPrivateRegistry goes the operator's way with both programs: a credential that
// is tried out, an image that needs it, its tag watched, a new password, a new key.
func TestPrivateRegistry(t *testing.T) {
	t.Run("basic", func(t *testing.T) { privateRegistry(t, ocitest.Config{Auth: ocitest.Basic}) })
	t.Run("token", func(t *testing.T) { privateRegistry(t, ocitest.Config{Auth: ocitest.Token}) })
}

// privateRegistry is the test with a registry that authenticates so.
func privateRegistry(t *testing.T, cfg ocitest.Config) {
	t.Parallel()
	const password = "correct-horse"
	cfg.User, cfg.Password = "puller", password
	reg := registry{ocitest.StartWith(t, cfg)}
	recv := newReceiver(t)
	e := startEngine(t, watching+general(recv))
	ref := reg.ref("private/app", "v1")
	reg.push(t, ref, "1")

	if r := e.cli("image", "add", ref); r.Code == 0 {
		t.Errorf("an image was added without a credential:\n%s", r.Stdout)
	}
	r := e.cli("registry", "add", reg.Host(), "puller", "wrong-mule")
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "cannot ping supplied registry with supplied credentials") {
		t.Errorf("a wrong password: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if out := e.mustCLI("registry", "add", reg.Host(), "puller", password); !strings.Contains(out, "User: puller") || strings.Contains(out, "horse") {
		t.Errorf("registry add:\n%s", out)
	}
	if out := e.mustCLI("--json", "registry", "list"); strings.Contains(out, "horse") || !strings.Contains(out, `"registry_user": "puller"`) {
		t.Errorf("registry list:\n%s", out)
	}
	e.mustCLI("image", "add", ref)
	e.mustCLI("image", "wait", ref)
	digest := reg.push(t, ref, "2")
	recv.wait(t, 1, "the tag's move", func(d delivery) bool { return d.kind() == "tag_update" && d.payload().DigestAfter == digest })

	e.stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rotate := e.key(ctx, "rotate")
	if out, err := rotate.CombinedOutput(); err != nil || !strings.Contains(string(out), "passwords encrypted anew: 1") {
		t.Fatalf("engine key rotate: %v\n%s", err, out)
	}
	e.start()
	digest = reg.push(t, ref, "3")
	recv.wait(t, 1, "a move after the key was changed", func(d delivery) bool { return d.kind() == "tag_update" && d.payload().DigestAfter == digest })
	if strings.Contains(e.log.String(), "horse") {
		t.Error("the password is in the log")
	}
	e.mustCLI("registry", "del", reg.Host())
	if r := e.cli("registry", "get", reg.Host()); r.Code == 0 {
		t.Errorf("the credential is still there:\n%s", r.Stdout)
	}
}

// key is the command engine key of this engine's data directory.
func (e *engine) key(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"key"}, append(args, "--config", filepath.Join(e.dir, "config.yaml"), "--data-dir", e.dataDir())...)
	cmd := exec.CommandContext(ctx, programs.engine, args...)
	cmd.Env = e.env
	return cmd
}

// TestLostKey: the engine does not start without its key, and says with exit code 2
// and the command's name how it does again.
func TestLostKey(t *testing.T) {
	t.Parallel()
	e := startEngine(t, "")
	e.mustCLI("registry", "add", "--skip-validate", "registry.test", "puller", "correct-horse")
	e.stop()
	file := filepath.Join(e.dataDir(), "key")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	refused := func(what string, cmd *exec.Cmd, says string) {
		t.Helper()
		cmd.Env = e.env
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v, want exit code 2 and %q\n%s", what, err, says, out)
		}
	}
	serve := func() *exec.Cmd {
		return exec.CommandContext(ctx, programs.engine, "serve", "--config", filepath.Join(e.dir, "config.yaml"), "--data-dir", e.dataDir())
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("a key that others may read", serve(), "set it to 0600")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused("no key", serve(), "run engine key reset")
	refused("key reset without --yes", e.key(ctx, "reset"), "--yes")
	if out, err := e.key(ctx, "reset", "--yes").Output(); err != nil || string(out) != "admin registry.test\n" {
		t.Fatalf("engine key reset: %v\n%s", err, out)
	}
	if out, err := e.key(ctx, "reset").CombinedOutput(); err != nil || !strings.Contains(string(out), "nothing was changed") {
		t.Errorf("engine key reset again: %v\n%s", err, out)
	}
	e.start()
	if r := e.cli("image", "add", "registry.test/app:1"); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "was lost with the key; set it with anchore-cli registry update registry.test puller -") {
		t.Errorf("image add: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	e.mustCLI("registry", "get", "registry.test")
	e.mustCLI("registry", "update", "--skip-validate", "registry.test", "puller", "other-mule")
}
