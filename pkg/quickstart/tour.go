package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

const (
	repository = "team/app"
	tag        = "latest"
	password   = "foobar"
)

// tour is one run of the quickstart.
type tour struct {
	out      io.Writer
	bin      string // directory of the programs, absolute
	public   string // a public image to follow, "" for one of its own
	dir      string // everything it writes
	registry *ocitest.Registry
	receiver *receiver
	base     string // URL of the engine, once it has started
	engine   *exec.Cmd
	ended    chan struct{} // closed when the engine has ended
	endErr   error         // valid once ended is closed
}

func newTour(out io.Writer, bin, public string) (*tour, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, program := range []string{"engine", "anchore-cli"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return nil, fmt.Errorf("%w; make build makes it", err)
		}
	}
	t := &tour{out: out, bin: bin, public: public}
	if t.dir, err = os.MkdirTemp("", "anchore-quickstart-"); err != nil {
		return nil, err
	}
	if t.registry, err = ocitest.New(ocitest.Config{}); err == nil {
		t.receiver, err = newReceiver()
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// close stops what runs and removes what was written.
func (t *tour) close() error {
	err := t.stopEngine()
	if t.registry != nil {
		err = errors.Join(err, t.registry.Close())
	}
	if t.receiver != nil {
		err = errors.Join(err, t.receiver.close())
	}
	return errors.Join(err, os.RemoveAll(t.dir))
}

// take tells the story from a first push to the last webhook.
func (t *tour) take(ctx context.Context) error {
	ref, err := t.firstImage()
	if err != nil {
		return err
	}
	if err := t.startEngine(ctx); err != nil {
		return err
	}
	t.say("The tag is added. The engine asks the registry what it names and analyzes that image.")
	t.show("export ANCHORE_CLI_URL=" + t.url() + " ANCHORE_CLI_USER=admin ANCHORE_CLI_PASS=" + password)
	for _, args := range [][]string{
		{"image", "add", ref},
		{"image", "wait", ref, "--interval", "1"},
		{"image", "content", ref, "os"},
	} {
		if err := t.cli(ctx, args...); err != nil {
			return err
		}
	}
	t.say("Adding a tag subscribes to it: to new images of the tag and to their analysis.")
	if err := t.cli(ctx, "subscription", "list"); err != nil {
		return err
	}
	if err := t.webhook(ctx, "analysis_update", 1); err != nil {
		return err
	}
	if t.public == "" {
		if err := t.move(ctx, ref); err != nil {
			return err
		}
	} else {
		t.say("Nobody here can move the tag of a public image, so the tour ends without a tag_update. Without QUICKSTART_IMAGE it shows one.")
	}
	t.say("The engine is stopped (SIGTERM) and everything is removed.")
	if err := t.stopEngine(); err != nil {
		return err
	}
	t.say("Where to go next: docs/quickstart.md does the same by hand with your own registry and receiver, docs/operations.md runs it for real.")
	return nil
}

// firstImage pushes the first build, unless a public image is followed.
func (t *tour) firstImage() (string, error) {
	if t.public != "" {
		t.say("The image is the public " + t.public + ".")
		return t.public, nil
	}
	ref := t.registry.Host() + "/" + repository + ":" + tag
	t.say("A registry runs on " + t.registry.Host() + ". The first build of an application is pushed to it.")
	return ref, t.push(ref, "1.0.0")
}

// push builds an image and pushes it, and says so as docker would.
func (t *tour) push(ref, version string) error {
	image := ocitest.Image(ocitest.Spec{
		Version: version, Revision: strings.Repeat(version[:1], 40), Source: "https://git.example.com/team/app",
	})
	if err := t.registry.Put(repository+":"+tag, image); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "pushed %s, version %s\n%s: digest: %s size: %d\n", ref, version, tag, image.Digest, len(image.Raw))
	return nil
}

// move pushes another build under the tag and shows what comes of it.
func (t *tour) move(ctx context.Context, ref string) error {
	t.say("Now the tag moves: a second build is pushed under the same name. Nobody tells the engine.")
	if err := t.push(ref, "2.0.0"); err != nil {
		return err
	}
	for _, expected := range []struct {
		kind string
		n    int
	}{{"tag_update", 1}, {"analysis_update", 2}} {
		if err := t.webhook(ctx, expected.kind, expected.n); err != nil {
			return err
		}
	}
	t.say("What happened is in the event log.")
	return t.cli(ctx, "event", "list")
}

// webhook waits for the nth notification of a type and prints it.
func (t *tour) webhook(ctx context.Context, kind string, n int) error {
	t.say("The webhook receiver waits for the " + kind + ".")
	request, err := t.receiver.wait(ctx, kind, n)
	if err != nil {
		return fmt.Errorf("the %s did not come: %w; the end of the engine's log:\n%s", kind, err, t.logTail())
	}
	body := request.body
	if n > 1 { // its like was shown before
		body = request.summary
	}
	fmt.Fprintf(t.out, "POST %s\n%s\n", request.path, body)
	return nil
}

// cli echoes and runs one command as a user would.
func (t *tour) cli(ctx context.Context, args ...string) error {
	t.show("anchore-cli " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(t.bin, "anchore-cli"), args...)
	cmd.Env = []string{
		"HOME=" + t.dir, "PATH=" + os.Getenv("PATH"),
		"ANCHORE_CLI_URL=" + t.url(), "ANCHORE_CLI_USER=admin", "ANCHORE_CLI_PASS=" + password,
	}
	cmd.Stdout, cmd.Stderr = t.out, t.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("anchore-cli %s: %w; the end of the engine's log:\n%s", args[0], err, t.logTail())
	}
	return nil
}

func (t *tour) url() string { return t.base + "/v1" }

// say prints a sentence of the story.
func (t *tour) say(text string) { fmt.Fprintf(t.out, "\n# %s\n", text) }

// show prints a command line.
func (t *tour) show(line string) { fmt.Fprintf(t.out, "\n$ %s\n", line) }

func (t *tour) configFile() string { return filepath.Join(t.dir, "config.yaml") }
func (t *tour) logFile() string    { return filepath.Join(t.dir, "engine.log") }

// startEngine writes the configuration, starts the engine and waits for it.
func (t *tour) startEngine(ctx context.Context) error {
	config := "watch:\n  interval: 1   # seconds; 300 by default\nwebhooks:\n  general:\n    url: '" + t.receiver.url() + "/general/<notification_type>/<userId>'\n"
	if err := os.WriteFile(t.configFile(), []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(t.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	t.say("The engine starts with this config.yaml. It looks at each tag once a second and sends all notifications to a receiver here.")
	fmt.Fprint(t.out, config)
	t.show("ANCHORE_ADMIN_PASSWORD=" + password + " engine serve --config config.yaml --data-dir data --listen 127.0.0.1:0")
	t.engine = exec.Command(filepath.Join(t.bin, "engine"), "serve",
		"--config", t.configFile(), "--data-dir", filepath.Join(t.dir, "data"), "--listen", "127.0.0.1:0")
	t.engine.Env = append(unconfigured(os.Environ()), "ANCHORE_ADMIN_PASSWORD="+password)
	t.engine.Stdout, t.engine.Stderr = log, log
	t.engine.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	if err := t.engine.Start(); err != nil {
		t.engine = nil
		return err
	}
	engine, ended := t.engine, make(chan struct{})
	t.ended = ended
	go func() {
		t.endErr = engine.Wait()
		close(ended)
	}()
	return t.healthy(ctx)
}

// unconfigured is an environment without what configures an engine: the caller's own
// would send the tour's notifications to a receiver of theirs, or hide what it waits
// for.
func unconfigured(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return strings.HasPrefix(variable, "ANCHORE")
	})
}

// started is the line in which the engine says where it listens.
var started = regexp.MustCompile(`msg="engine started" url=(\S+)`)

// healthy waits until the engine says where it listens, and answers there.
func (t *tour) healthy(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return poll(ctx, func() (bool, error) {
		select {
		case <-t.ended:
			return false, fmt.Errorf("the engine ended by itself (%v); its log:\n%s", t.endErr, t.logTail())
		default:
		}
		line := started.FindStringSubmatch(t.logTail())
		if line == nil {
			return false, nil
		}
		t.base = line[1]
		resp, err := client.Get(t.base + "/health")
		if err != nil {
			return false, nil // it does not answer yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
}

// stopEngine ends the engine as an operator does, or by force if it does not end.
func (t *tour) stopEngine() error {
	if t.engine == nil {
		return nil
	}
	engine := t.engine
	t.engine = nil
	if err := engine.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-t.ended:
		return t.endErr
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("the engine did not end within 30 seconds of SIGTERM"), engine.Process.Kill())
	}
}

// logTail is the end of the engine's log.
func (t *tour) logTail() string {
	const most = 4000
	log, err := os.ReadFile(t.logFile())
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-most):])
}

// poll calls done until it is, fails, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
