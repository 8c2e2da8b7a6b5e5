package analyze

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/sbom"
	"github.com/anchore/anchore-engine/pkg/sbom/sbomtest"
)

// TestMain lets this test binary be the analysis child: real processes with real
// faults, but no syft to link.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == AnalyzeChild {
		os.Exit(fakeChild(os.Args[2]))
	}
	if len(os.Args) > 2 && os.Args[1] == "parent" {
		os.Exit(fakeParent(os.Args[2]))
	}
	os.Exit(m.Run())
}

const document = `{"artifacts":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"},{"name":"e"}],"files":[],
"source":{"type":"image","metadata":{"imageSize":123}},"distro":{"id":"debian","versionID":"12"}}`

func fakeChild(fault string) int {
	var req sbom.ChildRequest
	in := bufio.NewReader(os.Stdin)
	if err := json.NewDecoder(in).Decode(&req); err != nil {
		return 2
	}
	fmt.Fprintf(os.Stderr, "{\"step\":%q}\n", anchore.Cataloging)
	if err := os.WriteFile(req.Temp+"/layer", []byte("temporary"), 0o600); err != nil {
		return 1
	}
	switch sbomtest.Fault(fault) {
	case sbomtest.None:
		fmt.Println(document)
	case sbomtest.Killed:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case sbomtest.OutOfMemory:
		return exhaust(req.Memory)
	case sbomtest.TooSlow:
		time.Sleep(time.Minute)
	case sbomtest.Crash:
		panic("a cataloger's fault")
	case sbomtest.Garbage:
		fmt.Println("<html>not a document</html>")
	case sbomtest.Truncated:
		fmt.Print(document[:len(document)-20])
	case sbomtest.TooLarge:
		for line := strings.Repeat("x", 4096); ; {
			fmt.Print(line)
		}
	}
	switch fault {
	case "look around":
		return lookAround()
	case "hold pipes": // a grandchild that outlives its parent, in the same group
		attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}}
		p, err := os.StartProcess("/proc/self/exe", []string{"x", AnalyzeChild, "sleep"}, attr)
		if err != nil {
			return 1
		}
		_ = p.Release()
		fmt.Println(document)
	case "sleep":
		time.Sleep(time.Minute)
	}
	return 0
}

func exhaust(limit int64) int {
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(limit), Max: uint64(limit)}); err != nil {
		return 2
	}
	var kept [][]byte
	for {
		kept = append(kept, make([]byte, 16<<20))
		kept[len(kept)-1][0] = 1
	}
}

// lookAround answers with a document whose distribution tells what a child sees.
func lookAround() int {
	netNS, _ := os.Readlink("/proc/self/ns/net")
	routes, _ := os.ReadFile("/proc/self/net/route")
	saw := map[string]any{"id": fmt.Sprintf("net=%s routes=%d uid=%d", netNS, max(0, strings.Count(string(routes), "\n")-1), os.Getuid()), "version": strings.Join(os.Environ(), " ")}
	doc := map[string]any{"artifacts": []any{}, "source": map[string]any{}, "distro": saw}
	if json.NewEncoder(os.Stdout).Encode(doc) != nil {
		return 1
	}
	return 0
}

func newChild(t *testing.T, fault string) *Child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := ChildConfig{Command: []string{self, AnalyzeChild, fault}, Timeout: 20 * time.Second, Memory: 512 << 20, Document: 1 << 20}
	if fault == string(sbomtest.TooSlow) {
		cfg.Timeout = time.Second
	}
	c, err := NewChild(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChild(t *testing.T) {
	sbomtest.Run(t, func(t *testing.T, f sbomtest.Fault) sbomtest.Analyzer { return newChild(t, string(f)) })
}

func TestChildSeesNothing(t *testing.T) {
	t.Setenv("ANCHORE_ADMIN_PASSWORD", "secret")
	c := newChild(t, "look around")
	report, err := c.Analyze(t.Context(), sbom.Request{Work: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(report.Summary.DistroVersion, "ANCHORE") {
		t.Errorf("the child has the environment %q", report.Summary.DistroVersion)
	}
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	confined := strings.Contains(c.Isolation(), "network namespace") && !strings.Contains(c.Isolation(), "no user")
	if apart := !strings.Contains(report.Summary.Distro, "net="+mine+" "); apart != confined {
		t.Errorf("Isolation() = %q, but the child saw %q and the engine has %s", c.Isolation(), report.Summary.Distro, mine)
	}
	if confined && !strings.HasSuffix(report.Summary.Distro, "routes=0 uid=65534") {
		t.Errorf("the child saw %q, want no routes and the user 65534", report.Summary.Distro)
	}
}

func TestChildWithoutNamespaces(t *testing.T) {
	c := newChild(t, string(sbomtest.None))
	c.unconfined(syscall.EPERM)
	if _, err := c.Analyze(t.Context(), sbom.Request{Work: t.TempDir()}); err != nil {
		t.Errorf("Analyze without namespaces: %v", err)
	}
	if got := c.Isolation(); !strings.Contains(got, "operation not permitted") {
		t.Errorf("Isolation() = %q, want the reason", got)
	}
}

func TestChildLeavesNoGrandchild(t *testing.T) {
	begin := time.Now()
	if _, err := newChild(t, "hold pipes").Analyze(t.Context(), sbom.Request{Work: t.TempDir()}); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("Analyze took %v: a grandchild held the pipes", took)
	}
}

// fakeParent is an engine that says when its child runs, and waits for it.
func fakeParent(work string) int {
	self, err := os.Executable()
	if err != nil {
		return 1
	}
	c, err := NewChild(ChildConfig{Command: []string{self, AnalyzeChild, "sleep"}})
	if err != nil {
		return 1
	}
	_, _ = c.Analyze(context.Background(), sbom.Request{Work: work, Progress: func(anchore.Step) {
		fmt.Println("started")
	}})
	return 0
}

func TestKilledParentTakesItsChildAlong(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	parent, err := os.StartProcess(self, []string{self, "parent", t.TempDir()}, &os.ProcAttr{Files: []*os.File{nil, w, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "started\n" {
		t.Fatalf("the parent printed %q (%v)", line, err)
	}
	child := childOf(t, parent.Pid)
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := parent.Wait(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the child to end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// childOf finds the process whose parent is pid.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			return n
		}
	}
	t.Fatalf("process %d has no child", pid)
	return 0
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for begin := time.Now(); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
