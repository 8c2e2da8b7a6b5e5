package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// TestPrivateRegistry goes the operator's way with both programs: a credential that
// is tried out, an image that needs it, its tag watched, a new password, a new key.
func TestPrivateRegistry(t *testing.T) {
	t.Parallel()
	const password = "correct-horse"
	reg := registry{ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Token, User: "puller", Password: password})}
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
	rotate := exec.CommandContext(ctx, programs.engine, "key", "rotate", "--config", filepath.Join(e.dir, "config.yaml"), "--data-dir", e.dataDir())
	rotate.Env = e.env
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
