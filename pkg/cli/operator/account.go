package operator

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// NewAccountCmd is the group "account", with the users of accounts in it.
func NewAccountCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "account", "Manage accounts and their users")
	cmd.AddCommand(newAccountWhoamiCmd(a), newAccountListCmd(a), newAccountGetCmd(a), newAccountAddCmd(a), newAccountDelCmd(a),
		newAccountStateCmd(a, "enable", "Let the users of an account in again, and watch its tags"),
		newAccountStateCmd(a, "disable", "Keep the users of an account out, and watch none of its tags"), newUserCmd(a))
	return cmd
}

func newAccountWhoamiCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "whoami", "Show the user and account of this command line", "",
		func(cmd *cobra.Command, _ []string) error { return runAccountWhoami(cmd.Context(), a) })
}

// askAccount gets the record of the account that the command line acts in.
func askAccount(ctx context.Context, c *session.Client) (any, error) {
	response, err := c.GetAccount(ctx)
	return ask(ctx, c, "name", response, err)
}

// askUser gets the record of the user of the command line.
func askUser(ctx context.Context, c *session.Client) (any, error) {
	response, err := c.GetUser(ctx)
	return ask(ctx, c, "username", response, err)
}

// ask reads a record that has the given key. A failure ends with exit code 2, as the
// original's requests before every account command did.
func ask(ctx context.Context, c *session.Client, key string, response *http.Response, err error) (any, error) {
	got, err := c.Object(ctx, response, err, key)
	if f := session.AsFailure(err); f != nil {
		return nil, f.Exit(2)
	}
	return got.Value, err
}

func runAccountWhoami(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	account, err := askAccount(ctx, c)
	if err != nil {
		return err
	}
	user, err := askUser(ctx, c)
	if err != nil {
		return err
	}
	return a.Show(render.Object{{Key: "account", Value: account}, {Key: "user", Value: user}}, func(w io.Writer) error {
		var k render.KeyLines
		k.Add("Username", render.At(user, "username"))
		k.Add("AccountName", render.At(account, "name"))
		k.Add("AccountEmail", render.At(account, "email"))
		k.Add("AccountType", render.At(account, "type"))
		k.Blank()
		return k.Write(w)
	})
}

func newAccountListCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "list", "List accounts", "",
		func(cmd *cobra.Command, _ []string) error { return runAccountList(cmd.Context(), a) })
}

func runAccountList(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ListAccounts(ctx, nil)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	t := render.Columns(render.Items(got.Value), []string{"Name", "Email", "Type", "State", "Created"}, []string{"name", "email", "type", "state", "created_at"})
	t.SortBy, t.Trailing = 4, true
	return a.Show(got.Value, a.Table(t))
}

// showRecord prints one record as key lines; a key that is not there is None.
func showRecord(a *session.App, v any, lines [][2]string) error {
	return a.Show(v, func(w io.Writer) error {
		var k render.KeyLines
		for _, l := range lines {
			k.Add(l[0], render.At(v, l[1]))
		}
		k.Blank()
		return k.Write(w)
	})
}

func showAccount(a *session.App, v any) error {
	return showRecord(a, v, [][2]string{{"Name", "name"}, {"Email", "email"}, {"Type", "type"}, {"State", "state"}, {"Created", "created_at"}})
}

func newAccountGetCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "get ACCOUNT_NAME", "Show an account", "",
		func(cmd *cobra.Command, args []string) error { return runAccountGet(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(a.Accounts)
	return cmd
}

func runAccountGet(ctx context.Context, a *session.App, name string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.GetAccountByName(ctx, name)
	got, err := c.Object(ctx, response, err, "name")
	if err != nil {
		return err
	}
	return showAccount(a, got.Value)
}

func newAccountAddCmd(a *session.App) *cobra.Command {
	var email string
	cmd := session.NewLeaf(a, "add ACCOUNT_NAME", "Add an account", "It has no users yet: 'anchore-cli account user add --account ACCOUNT_NAME USER_NAME' adds one.",
		func(cmd *cobra.Command, args []string) error { return runAccountAdd(cmd.Context(), a, args[0], email) })
	cmd.Flags().StringVar(&email, "email", "", "an address for the account, for people and for webhooks")
	return cmd
}

func runAccountAdd(ctx context.Context, a *session.App, name, email string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.AddAccount(ctx, api.AccountRequest{Name: name, Email: session.Optional(email)})
	got, err := c.Object(ctx, response, err, "name")
	if err != nil {
		return err
	}
	return showAccount(a, got.Value)
}

type accountDelOptions struct {
	app     *session.App
	dontAsk bool
}

func newAccountDelCmd(a *session.App) *cobra.Command {
	opts := accountDelOptions{app: a}
	cmd := session.NewLeaf(a, "del ACCOUNT_NAME", "Delete an account with all that belongs to it",
		"Its users, images, subscriptions, registries and events are removed. The account must be\ndisabled: 'anchore-cli account disable ACCOUNT_NAME' does that.",
		func(cmd *cobra.Command, args []string) error { return opts.run(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.Complete(a.Accounts)
	cmd.Flags().BoolVar(&opts.dontAsk, "dontask", false, "do not ask for confirmation")
	return cmd
}

func (o accountDelOptions) run(ctx context.Context, name string) error {
	c, err := o.app.Client()
	if err != nil {
		return err
	}
	if !o.dontAsk {
		if _, err := askAccount(ctx, c); err != nil { // who may ask nothing of the engine is not asked either
			return err
		}
		question := "This operation is irreversible. Really delete account " + name + " along with *all* users and resources associated with this account? (y/N)"
		if !o.app.Confirmed(ctx, question) {
			return nil
		}
	}
	response, err := c.DeleteAccount(ctx, name)
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return o.refused(err)
	}
	return o.app.Success(got.Value)
}

// refused adds to the answer for an account that is not disabled what to do, in the
// original's words and place where people read.
func (o accountDelOptions) refused(err error) error {
	f := session.AsFailure(err)
	if f == nil || !strings.Contains(f.Error(), "Invalid account state change requested") {
		return err
	}
	const note = "accounts must be disabled (anchore-cli account disable <account>) in order to be deleted"
	if answer, ok := f.Answer.(render.Object); ok && o.app.ForPeople() {
		f.Answer = answer.Set("message", f.Error()+"\n\nNOTE: "+note)
		return f
	}
	return f.Hint("%s", note)
}

// newAccountStateCmd is enable or disable.
func newAccountStateCmd(a *session.App, name, short string) *cobra.Command {
	cmd := session.NewLeaf(a, name+" ACCOUNT_NAME", short, "",
		func(cmd *cobra.Command, args []string) error {
			return runAccountState(cmd.Context(), a, args[0], name+"d")
		})
	cmd.ValidArgsFunction = a.Complete(a.Accounts)
	return cmd
}

func runAccountState(ctx context.Context, a *session.App, name, state string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.SetAccountState(ctx, name, api.AccountStateRequest{State: api.AccountStateRequestState(state)})
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.Success(got.Value)
}
