package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	cliRuns     = 40
	cliFewTags  = 10
	cliManyTags = 2500
	maxCLI      = 30 * time.Millisecond
	maxCLISize  = 15 << 20
)

// measureCLI measures a short command from start to finish, and the program's size.
func measureCLI(ctx context.Context, dir string, bin binaries) (section, error) {
	info, err := os.Stat(bin.cli)
	if err != nil {
		return section{}, err
	}
	few, err := listRuns(ctx, filepath.Join(dir, "few"), bin, cliFewTags)
	if err != nil {
		return section{}, err
	}
	many, err := listRuns(ctx, filepath.Join(dir, "many"), bin, cliManyTags)
	if err != nil {
		return section{}, err
	}
	return section{
		title: "anchore-cli",
		results: []result{
			{what: fmt.Sprintf("`anchore-cli subscription list`, %d subscriptions", 4*cliFewTags), figure: few.String(), goal: "< " + maxCLI.String(), met: few.median() < maxCLI},
			{what: fmt.Sprintf("the same, %d subscriptions", 4*cliManyTags), figure: many.String()},
			{what: "size of the stripped program", figure: fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), goal: "≤ 15 MB", met: info.Size() <= maxCLISize},
		},
		notes: fmt.Sprintf(`
%d runs against a local engine, from the start of the process to its end. The engine
remembers a login that was right for a minute; the first one after that pays for the
password's hash. That the program holds neither syft nor grype nor the engine's
packages is a test (pkg/bench).`, cliRuns),
	}, nil
}

// listRuns times the command against an engine that has the subscriptions of so
// many tags.
func listRuns(ctx context.Context, dir string, bin binaries, tags int) (sample, error) {
	registry, err := oneImage()
	if err != nil {
		return nil, err
	}
	defer registry.Close()
	data := filepath.Join(dir, "data")
	if err := seedEngine(ctx, data, tagNames(hostOf(registry), tags)); err != nil {
		return nil, err
	}
	p, err := startEngine(ctx, bin.engine, data, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.stop() }()
	if err := sleep(ctx, 2*time.Second); err != nil { // past its start
		return nil, err
	}
	var took sample
	for i := range cliRuns + 1 {
		d, err := listOnce(ctx, bin.cli, dir, p.url, 4*tags)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first pays for the login
			took = append(took, d)
		}
	}
	return took, nil
}

func listOnce(ctx context.Context, program, home, url string, rows int) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, "subscription", "list")
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	cmd.Env = []string{"HOME=" + home, "ANCHORE_CLI_URL=" + url, "ANCHORE_CLI_USER=admin", "ANCHORE_CLI_PASS=" + password}
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return 0, errors.Join(err, errors.New(talk.String()))
	}
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines < rows {
		return 0, fmt.Errorf("the list has %d lines, fewer than the %d subscriptions", lines, rows)
	}
	return took, nil
}
