package cli

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func newAccountCmd(a *app) *cobra.Command {
	cmd := newGroup(a, "account", "Show who you are to the engine")
	cmd.AddCommand(newAccountWhoamiCmd(a))
	return cmd
}

func newAccountWhoamiCmd(a *app) *cobra.Command {
	return newLeaf(a, "whoami", "Show the user and account of this command line", "",
		func(cmd *cobra.Command, _ []string) error { return a.runAccountWhoami(cmd.Context()) })
}

func (a *app) runAccountWhoami(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	ask := func(response *http.Response, err error) (any, error) {
		got, err := c.do(ctx, response, err)
		if f := asFailure(err); f != nil {
			return nil, f.exit(2) // as the original's requests before every account command
		}
		return got.value, err
	}
	account, err := ask(c.GetAccount(ctx))
	if err != nil {
		return err
	}
	user, err := ask(c.GetUser(ctx))
	if err != nil {
		return err
	}
	return a.show(object{{"account", account}, {"user", user}}, func(w io.Writer) error {
		var k keyLines
		k.add("Username", at(user, "username"))
		k.add("AccountName", at(account, "name"))
		k.add("AccountEmail", at(account, "email"))
		k.add("AccountType", at(account, "type"))
		k.blank()
		return k.write(w)
	})
}
