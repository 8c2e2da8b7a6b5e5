package cli

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
)

func newAccountCmd(a *app) *cobra.Command {
	cmd := newGroup(a, "account", "Manage accounts and their users")
	cmd.AddCommand(newAccountWhoamiCmd(a), newAccountListCmd(a), newAccountGetCmd(a), newAccountAddCmd(a),
		newAccountStateCmd(a, "enable", "Let the users of an account in again, and watch its tags"),
		newAccountStateCmd(a, "disable", "Let the users of an account in no more, and watch none of its tags"), newUserCmd(a))
	return cmd
}

func newAccountWhoamiCmd(a *app) *cobra.Command {
	return newLeaf(a, "whoami", "Show the user and account of this command line", "",
		func(cmd *cobra.Command, _ []string) error { return a.runAccountWhoami(cmd.Context()) })
}

// ask gets one of the records of the user itself. A failure ends with exit code 2,
// as the original's requests before every account command did.
func (c *client) ask(ctx context.Context, response *http.Response, err error) (any, error) {
	got, err := c.do(ctx, response, err)
	if f := asFailure(err); f != nil {
		return nil, f.exit(2)
	}
	return got.value, err
}

func (a *app) runAccountWhoami(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.GetAccount(ctx)
	account, err := c.ask(ctx, response, err)
	if err != nil {
		return err
	}
	response, err = c.GetUser(ctx)
	user, err := c.ask(ctx, response, err)
	if err != nil {
		return err
	}
	return a.show(render.Object{{Key: "account", Value: account}, {Key: "user", Value: user}}, func(w io.Writer) error {
		var k render.KeyLines
		k.Add("Username", render.At(user, "username"))
		k.Add("AccountName", render.At(account, "name"))
		k.Add("AccountEmail", render.At(account, "email"))
		k.Add("AccountType", render.At(account, "type"))
		k.Blank()
		return k.Write(w)
	})
}

func newAccountListCmd(a *app) *cobra.Command {
	return newLeaf(a, "list", "List accounts", "",
		func(cmd *cobra.Command, _ []string) error { return a.runAccountList(cmd.Context()) })
}

func (a *app) runAccountList(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.ListAccounts(ctx, nil)
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	t := render.Columns(render.Items(got.value), []string{"Name", "Email", "Type", "State", "Created"}, []string{"name", "email", "type", "state", "created_at"})
	t.SortBy, t.Trailing = 4, true
	return a.show(got.value, a.table(t))
}

// accounts asks the engine for the names of accounts.
func (a *app) accounts(cmd *cobra.Command, _ []string) []string {
	return a.column(cmd, "name", func(ctx context.Context, c *client) (*http.Response, error) {
		return c.ListAccounts(ctx, nil)
	})
}

// showRecord prints one record as key lines; a key that is not there is None.
func (a *app) showRecord(v any, lines [][2]string) error {
	return a.show(v, func(w io.Writer) error {
		var k render.KeyLines
		for _, l := range lines {
			k.Add(l[0], render.At(v, l[1]))
		}
		k.Blank()
		return k.Write(w)
	})
}

func (a *app) showAccount(v any) error {
	return a.showRecord(v, [][2]string{{"Name", "name"}, {"Email", "email"}, {"Type", "type"}, {"State", "state"}, {"Created", "created_at"}})
}

func newAccountGetCmd(a *app) *cobra.Command {
	cmd := newLeaf(a, "get NAME", "Show an account", "",
		func(cmd *cobra.Command, args []string) error { return a.runAccountGet(cmd.Context(), args[0]) })
	cmd.ValidArgsFunction = a.complete(a.accounts)
	return cmd
}

func (a *app) runAccountGet(ctx context.Context, name string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.GetAccountByName(ctx, name)
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.showAccount(got.value)
}

func newAccountAddCmd(a *app) *cobra.Command {
	var email string
	cmd := newLeaf(a, "add NAME", "Add an account", "It has no users yet: 'anchore-cli account user add --account NAME' adds one.",
		func(cmd *cobra.Command, args []string) error { return a.runAccountAdd(cmd.Context(), args[0], email) })
	cmd.Flags().StringVar(&email, "email", "", "an address for the account, for people and for webhooks")
	return cmd
}

func (a *app) runAccountAdd(ctx context.Context, name, email string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.AddAccount(ctx, api.AccountRequest{Name: name, Email: optional(email)})
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.showAccount(got.value)
}

// newAccountStateCmd is enable or disable.
func newAccountStateCmd(a *app, name, short string) *cobra.Command {
	cmd := newLeaf(a, name+" NAME", short, "",
		func(cmd *cobra.Command, args []string) error {
			return a.runAccountState(cmd.Context(), args[0], name+"d")
		})
	cmd.ValidArgsFunction = a.complete(a.accounts)
	return cmd
}

func (a *app) runAccountState(ctx context.Context, name, state string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	response, err := c.SetAccountState(ctx, name, api.AccountStateRequest{State: api.AccountStateRequestState(state)})
	got, err := c.do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.success(got.value)
}
