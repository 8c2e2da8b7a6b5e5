package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/engine"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Work with the key that stored passwords are encrypted under", Args: noArgs}
	rotate := &cobra.Command{
		Use: "rotate", Short: "Encrypt all stored passwords under a new key, while the engine is stopped", Args: noArgs, RunE: rotateKey,
		Long: `Makes a new key, encrypts the stored passwords of registries under it, and removes
the old key from the file "key" in the data directory. The engine must be stopped.
If this fails or is interrupted, the engine can be started, and the command can be
run again. Backups made before need the key file of their time.`,
		Example: "  engine key rotate --data-dir /var/lib/anchore-engine",
	}
	config.Flags(rotate.Flags())
	cmd.AddCommand(rotate)
	return cmd
}

func rotateKey(cmd *cobra.Command, _ []string) error {
	cfg, err := config.FromFlags(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	n, err := engine.RotateKey(cmd.Context(), cfg.DataDir, newLog(cmd.ErrOrStderr(), cfg))
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "the key was changed; passwords encrypted anew: %d\n", n)
	return nil
}
