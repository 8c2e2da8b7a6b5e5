package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/engine"
)

// Exit codes.
const (
	failed  = 1 // the engine could not do its work
	misused = 2 // a flag, an argument, the configuration or the stored data is wrong
)

// execute runs the command that args name and returns the exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "engine: %s\n", describe(err))
	var wrong usageError
	if errors.As(err, &wrong) || anchore.KindOf(err) == anchore.Invalid {
		return misused
	}
	return failed
}

// describe is the error for whoever started the engine: the message where there is
// one. The cause stands beside it where the message alone may not help; on the
// operator's terminal it is no secret.
func describe(err error) string {
	var e *anchore.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if kind := e.Kind; e.Err == nil || kind != anchore.Internal && kind != anchore.Unavailable {
		return e.Message
	}
	return strings.TrimSuffix(e.Message, "; the engine's log has the cause") + ": " + e.Err.Error() // it is here instead
}

// usageError is a mistake in flags or arguments.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "engine",
		Short: "Anchore Engine: watch image tags, analyze images, notify webhooks",
		Long: `Anchore Engine watches image tags in registries, analyzes the images, and tells
webhooks when a tag moves and when an image has been analyzed.

Without a command it serves, as "engine serve" does.`,
		Version:       cmp.Or(version, "unknown"),
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          serve,
	}
	root.SetVersionTemplate(versionText())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help")}
	})
	config.Flags(root.Flags())
	root.AddCommand(newServe(), newConfig(), newKey(), newVersion())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("unknown command or argument %q; see %q", args[0], cmd.CommandPath()+" --help")}
}

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the engine until SIGTERM or Ctrl-C", Args: noArgs, RunE: serve,
		Example: "  engine serve --config config.yaml --data-dir /var/lib/anchore-engine",
	}
	config.Flags(cmd.Flags())
	return cmd
}

// serve runs the engine.
func serve(cmd *cobra.Command, _ []string) error {
	cfg, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	log := newLog(cmd.ErrOrStderr(), cfg)
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "problem", w.String())
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "" // it only helps anchore-cli
	}
	e, err := engine.New(cmd.Context(), cfg, engine.Options{Version: cmp.Or(version, "unknown"), Log: log, CacheDir: cache})
	if err != nil {
		return err
	}
	return e.Run(cmd.Context())
}

func newLog(w io.Writer, cfg *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Work with configuration files", Args: noArgs}
	check := &cobra.Command{
		Use: "check FILE", Short: "Say what is wrong with a configuration file", Example: "  engine config check config.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("name one file, e.g. engine config check config.yaml")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return checkConfig(cmd, args[0]) },
	}
	cmd.AddCommand(check)
	return cmd
}

func checkConfig(cmd *cobra.Command, file string) error {
	problems, err := config.Check(file, os.Environ())
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		fmt.Fprintln(cmd.OutOrStdout(), problems)
	}
	if n := len(problems.Errors()); n > 0 {
		return usageError{fmt.Errorf("%s is not valid; errors: %d", file, n)}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is valid\n", file)
	return nil
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version, commit and Go version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

func versionText() string {
	return fmt.Sprintf("engine, version %s\ncommit %s\n%s\n", cmp.Or(version, "unknown"), cmp.Or(commit, "unknown"), runtime.Version())
}
