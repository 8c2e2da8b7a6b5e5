package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is longer than anything takes on a busy machine.
const patience = time.Minute

// process is an engine that runs as its own process.
type process struct {
	cmd    *exec.Cmd
	url    string // with /v1
	client *http.Client
	ended  chan error
	ready  time.Duration // from its start until /health answered
}

// startEngine starts the program on the data directory and waits for /health.
func startEngine(ctx context.Context, program, dataDir, config string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	home := filepath.Dir(dataDir)
	file := filepath.Join(home, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(home, "engine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	p := &process{
		cmd: exec.CommandContext(ctx, program, "serve", "--config", file, "--data-dir", dataDir, "--listen", address),
		url: "http://" + address + "/v1", client: &http.Client{Timeout: patience}, ended: make(chan error, 1),
	}
	p.cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "ANCHORE_ADMIN_PASSWORD=" + password}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = home, log, log
	start := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	if err := p.wait(address, start); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w; its log:\n%s", errors.Join(err, p.kill()), said)
	}
	return p, nil
}

func (p *process) wait(address string, start time.Time) error {
	for time.Since(start) < patience {
		res, err := p.client.Get("http://" + address + "/health")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				p.ready = time.Since(start)
				return nil
			}
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("the engine ended: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	return errors.New("the engine does not answer")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.ended
	return nil
}

// stop ends the engine as an operator does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		return errors.Join(errors.New("the engine does not stop"), p.kill())
	}
}

// anonymous is the memory of the process that is not of a file, in bytes
// (RssAnon, proc_pid_status(5)).
func (p *process) anonymous() (int64, error) {
	text := field(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), "RssAnon")
	kib, err := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	return kib << 10, err
}

// call makes a request as admin and reads the answer into out, unless that is nil.
func (p *process) call(ctx context.Context, method, path string, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.SetBasicAuth("admin", password)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// analyze adds the image of a tag and waits until it is analyzed.
func (p *process) analyze(ctx context.Context, tag string) error {
	var images []struct {
		Digest string `json:"imageDigest"`
		Status string `json:"analysis_status"`
	}
	if err := p.call(ctx, http.MethodPost, "/images", map[string]any{"tag": tag}, &images); err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < patience; {
		if len(images) == 0 {
			return fmt.Errorf("no image of %s", tag)
		}
		switch images[0].Status {
		case "analyzed":
			return nil
		case "analysis_failed":
			return fmt.Errorf("the analysis of %s failed", tag)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if err := p.call(ctx, http.MethodGet, "/images/"+images[0].Digest, nil, &images); err != nil {
			return err
		}
	}
	return fmt.Errorf("the analysis of %s takes too long", tag)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
