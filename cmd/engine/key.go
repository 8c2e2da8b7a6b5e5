package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/anchore/anchore-engine/pkg/catalog/credential"
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
	cmd.AddCommand(rotate, newKeyReset())
	return cmd
}

func newKeyReset() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "reset", Short: "Give up the stored passwords that cannot be decrypted, while the engine is stopped", Args: noArgs,
		Long: `Drops the stored passwords of registries that the file "key" in the data directory
does not decrypt, and makes a new key if the file is missing: for a key that is lost,
with no backup of it. The engine must be stopped. The account and the registry of each
password are printed, one a line. The records of these registries stay; using one fails
until its password is set with "anchore-cli registry update". If every password can be
decrypted, nothing is changed. If this fails or is interrupted, it can be run again.`,
		Example: "  engine key reset --data-dir /var/lib/anchore-engine",
		RunE:    func(cmd *cobra.Command, _ []string) error { return resetKey(cmd, yes) },
	}
	config.Flags(cmd.Flags())
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	return cmd
}

func resetKey(cmd *cobra.Command, yes bool) error {
	cfg, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	lost, err := engine.ResetKey(cmd.Context(), cfg.DataDir, newLog(cmd.ErrOrStderr(), cfg), func(lost []credential.Lost) error {
		for _, l := range lost {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", cmp.Or(l.Account, "(deleted)"), l.Registry)
		}
		if yes {
			return nil
		}
		return confirmReset(cmd, len(lost))
	})
	if err != nil {
		return err
	}
	if len(lost) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "every stored password can be decrypted; nothing was changed")
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "passwords dropped: %d; set them again with anchore-cli registry update\n", len(lost))
	return nil
}

// confirmReset asks on the terminal whether n passwords may be dropped.
func confirmReset(cmd *cobra.Command, n int) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usageError{errors.New("nothing was changed; give --yes to drop these passwords without being asked")}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "These passwords cannot be decrypted (account, registry): %d. Drop them for good? (y/N) ", n)
	answer := make(chan string, 1)
	go func() { // a read that nobody waits for any more ends with the process
		line, _ := bufio.NewReader(in).ReadString('\n') // the end of input is a no
		answer <- line
	}()
	select {
	case line := <-answer:
		if strings.EqualFold(strings.TrimSpace(line), "y") {
			return nil
		}
	case <-cmd.Context().Done():
	}
	return errors.New("nothing was changed")
}

func rotateKey(cmd *cobra.Command, _ []string) error {
	cfg, err := config.Load(cmd.Flags(), os.Environ())
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
