package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NewRoot is the command above all others, with the options that may stand anywhere
// on the line. The groups are to be added to it.
func NewRoot(a *App, name, short string) *cobra.Command {
	root := NewGroup(a, name, short)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) }
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(a.Out, cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err) })
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-")) // the original has both spellings
	})
	a.addGlobalFlags(root.PersistentFlags())
	a.CompleteFlag(root, "output", OneOf(outputForms()...))
	a.CompleteFlag(root, "as-account", a.Accounts)
	root.SetHelpCommand(newHelpCmd(a, root))
	return root
}

func (a *App) addGlobalFlags(fs *pflag.FlagSet) {
	f := &a.flags
	fs.StringVar(&f.config, "config", "", "credentials file (default ~/.anchore/credentials.yaml; ANCHORE_CLI_CONFIG)")
	fs.StringVar(&f.user, "u", "", "user name (ANCHORE_CLI_USER)")
	fs.StringVar(&f.pass, "p", "", "password (ANCHORE_CLI_PASS)")
	fs.StringVar(&f.url, "url", "", "the engine's address (default "+defaultURL+"; ANCHORE_CLI_URL)")
	fs.String("hub-url", "", "accepted for old scripts, not used (ANCHORE_CLI_HUB_URL)")
	fs.String("api-version", "", "accepted for old scripts, not used (ANCHORE_CLI_API_VERSION)")
	fs.StringVar(&f.account, "as-account", "", "act in this account (ANCHORE_CLI_ACCOUNT)")
	fs.BoolVar(&f.insecure, "insecure", false, "do not verify TLS certificates (ANCHORE_CLI_SSL_VERIFY=n)")
	fs.BoolVar(&f.json, "json", false, "print answers as JSON (ANCHORE_CLI_JSON=y)")
	fs.StringVar(&f.output, "output", "", "table, wide, json or yaml; with the last three, errors go to standard error")
	fs.BoolVar(&f.noHeaders, "no-headers", false, "print tables without their first line")
	fs.BoolVar(&f.debug, "debug", false, "say on standard error what is asked of the engine (ANCHORE_CLI_DEBUG=y)")
	fs.BoolVar(&f.version, "version", false, "show the version and exit")
}

// takeInsecure removes --insecure from the flags before the group and reports
// whether it was there. Those flags are about the engine; behind "registry add" the
// same word is about the registry, and must not be said of one by the other.
func takeInsecure(args []string) (rest []string, insecure bool) {
	var leading App
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	fs.Usage = func() {}
	leading.addGlobalFlags(fs)
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 || !leading.flags.insecure {
		return args, false // what is wrong is said when the whole line is read
	}
	group := len(args) - fs.NArg()
	isIt := func(arg string) bool { return arg == "--insecure" || strings.HasPrefix(arg, "--insecure=") }
	return append(slices.DeleteFunc(slices.Clone(args[:group]), isIt), args[group:]...), true
}

// NewGroup is a command that only has commands. Alone it prints its help.
func NewGroup(a *App, name, short string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.flags.version {
			return a.WriteVersion(a.Out)
		}
		if len(args) > 0 {
			return noSuchCommand(cmd, args[0])
		}
		given := 0
		cmd.Flags().Visit(func(*pflag.Flag) { given++ })
		if given > 0 {
			return &usageError{cmd: cmd, message: "Missing command."}
		}
		writeHelp(a.Out, cmd)
		return nil
	}
	return cmd
}

// NewLeaf is a command that does something. Its arguments are read off use, as
// "get IMAGE [TYPE]"; "NAME..." takes any number.
func NewLeaf(a *App, use, short, long string, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(cmd *cobra.Command, args []string) error {
			if a.flags.version {
				return nil
			}
			return checkArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.version {
				return a.WriteVersion(a.Out)
			}
			return run(cmd, args)
		},
	}
}

func checkArgs(cmd *cobra.Command, args []string) error {
	_, names, _ := strings.Cut(cmd.Use, " ")
	wanted := strings.Fields(names)
	for i, name := range wanted {
		if i >= len(args) && !strings.HasPrefix(name, "[") {
			return &usageError{cmd: cmd, message: fmt.Sprintf("Missing argument '%s'.", strings.TrimSuffix(name, "..."))}
		}
	}
	for i, arg := range args {
		if len(wanted) == 0 {
			break
		}
		if name := wanted[min(i, len(wanted)-1)]; namesNothing(arg) && !mayBeEmpty(name) {
			return &usageError{cmd: cmd, message: fmt.Sprintf("Invalid value for '%s': %q names nothing; is a variable of a script empty?", strings.Trim(name, "[]."), arg)}
		}
	}
	variadic := len(wanted) > 0 && strings.Contains(wanted[len(wanted)-1], "...")
	switch extra := len(args) - len(wanted); {
	case extra <= 0 || variadic:
		return nil
	case extra == 1:
		return &usageError{cmd: cmd, message: fmt.Sprintf("Got unexpected extra argument (%s)", args[len(args)-1])}
	default:
		return &usageError{cmd: cmd, message: fmt.Sprintf("Got unexpected extra arguments (%s)", strings.Join(args[len(wanted):], " "))}
	}
}

// namesNothing reports whether an argument would, as a filter, name everything, or, as
// the end of a path, what is above it.
func namesNothing(arg string) bool {
	arg = strings.TrimSpace(arg)
	return arg == "" || arg == "." || arg == ".."
}

// mayBeEmpty tells of the arguments that name nothing in the first place: users and
// passwords of registries.
func mayBeEmpty(argument string) bool {
	return strings.Contains(argument, "REGISTRY_") || strings.Contains(argument, "PASSWORD")
}

func noSuchCommand(cmd *cobra.Command, name string) error {
	return &usageError{cmd: cmd, message: fmt.Sprintf("No such command '%s'.", name)}
}

// flagError puts pflag's errors into click's words.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var noValue *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var outside *rangeError
	switch {
	case cmd.HasSubCommands() && cmd.Flags().NArg() > 0:
		return noSuchCommand(cmd, cmd.Flags().Arg(0)) // its flags cannot be known
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			name = "-" + short[:1]
		}
		message := "No such option: " + name
		if near := nearFlags(cmd, name); len(near) > 0 {
			message += fmt.Sprintf(" Did you mean %s?", near[0])
		}
		return &usageError{cmd: cmd, message: message}
	case errors.As(err, &noValue):
		return &usageError{cmd: cmd, bare: true, message: fmt.Sprintf("Option '--%s' requires an argument.", noValue.GetSpecifiedName())}
	case errors.As(err, &invalid) && errors.As(err, &outside):
		return &usageError{cmd: cmd, message: fmt.Sprintf("Invalid value for '--%s': %s", invalid.GetFlag().Name, outside.message)}
	case errors.As(err, &invalid):
		return &usageError{cmd: cmd, message: fmt.Sprintf("Invalid value for '--%s': '%s' is not a valid %s.",
			invalid.GetFlag().Name, invalid.GetValue(), valueKind(invalid.GetFlag()))}
	}
	return &usageError{cmd: cmd, message: err.Error()}
}

func valueKind(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "boolean"
	case "float64":
		return "float"
	case "int", "int64":
		return "integer"
	}
	return f.Value.Type()
}

func nearFlags(cmd *cobra.Command, name string) []string {
	var all []string
	add := func(f *pflag.Flag) { all = append(all, "--"+f.Name) }
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return Nearest(name, all, 1)
}

// UsageLine is click's first line of help.
func UsageLine(cmd *cobra.Command) string {
	line := "Usage: " + cmd.CommandPath() + " [OPTIONS]"
	if cmd.HasSubCommands() {
		return line + " COMMAND [ARGS]..."
	}
	if _, names, ok := strings.Cut(cmd.Use, " "); ok {
		line += " " + names
	}
	return line
}

// writeHelp prints help in click's layout.
func writeHelp(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "%s\n", UsageLine(cmd))
	for _, text := range []string{cmd.Short + ".", cmd.Long} {
		if text != "" && text != "." {
			indented := strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
			fmt.Fprintf(w, "\n  %s\n", strings.ReplaceAll(indented, "\n  \n", "\n\n"))
		}
	}
	var rows [][2]string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			rows = append(rows, [2]string{FlagSyntax(f), f.Usage})
		}
	})
	rows = append(rows, [2]string{"-h, --help", "show this message and exit"})
	writeDefinitions(w, "Options:", rows)
	rows = nil
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			rows = append(rows, [2]string{c.Name(), c.Short})
		}
	}
	slices.SortFunc(rows, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	writeDefinitions(w, "Commands:", rows)
	if cmd.HasParent() {
		fmt.Fprintf(w, "\nThe options of '%s -h' may be given here too.\n", cmd.Root().Name())
	}
}

// FlagSyntax is a flag with the kind of its value, as help shows it.
func FlagSyntax(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "--" + f.Name
	case "float64":
		return "--" + f.Name + " FLOAT"
	case "int", "int64":
		return "--" + f.Name + " INTEGER"
	}
	return "--" + f.Name + " TEXT"
}

func writeDefinitions(w io.Writer, title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r[0], r[1])
	}
}

// newHelpCmd prints the help of the command named by its arguments.
func newHelpCmd(a *App, root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]...", Short: "Show the help of a command", Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				cmd = root // the original printed this whatever was asked
			}
			writeHelp(a.Out, cmd)
			return nil
		},
	}
}
