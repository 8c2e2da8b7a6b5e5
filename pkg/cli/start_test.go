package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
)

// BenchmarkSubscriptionList is the time from the start of the process to its end,
// against an engine on this machine. The goal is 30 ms; what it can be lost to is
// what packages do when they are loaded (GODEBUG=inittrace=1 shows it).
func BenchmarkSubscriptionList(b *testing.B) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `[{"subscription_key": "docker.io/library/alpine:latest", "subscription_type": "tag_update", "active": true}]`)
	}))
	defer engine.Close()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := exec.Cmd{Path: program, Args: []string{"anchore-cli", "subscription", "list"}, // TestMain looks at the name
			Env: []string{"ANCHORE_CLI_URL=" + engine.URL + "/v1", "ANCHORE_CLI_USER=admin", "ANCHORE_CLI_PASS=foobar"}}
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/run")
}
