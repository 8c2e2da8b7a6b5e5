package operator

import (
	"context"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

func newUserCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "user", "Manage the users of an account")
	cmd.AddCommand(newUserListCmd(a), newUserGetCmd(a), newUserAddCmd(a), newUserDelCmd(a), newUserSetPasswordCmd(a))
	return cmd
}

// userOptions are those of all commands about users.
type userOptions struct {
	app     *session.App
	account string // "" for the one that the command line acts in
	user    string // of setpassword; "" for oneself
}

func (o *userOptions) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&o.account, "account", "", "the account, instead of the one of this command line")
	o.app.CompleteFlag(cmd, "account", o.app.Accounts)
	return cmd
}

// client returns the client and the account that is meant.
func (o userOptions) client(ctx context.Context) (*session.Client, string, error) {
	c, err := o.app.Client()
	if err != nil || o.account != "" {
		return c, o.account, err
	}
	account, err := askAccount(ctx, c)
	if err != nil {
		return nil, "", err
	}
	name, ok := render.At(account, "name").(string)
	if !ok {
		return nil, "", session.Failf("the engine does not say which account this is; give --account")
	}
	return c, name, nil
}

func newUserListCmd(a *session.App) *cobra.Command {
	o := userOptions{app: a}
	return o.flags(session.NewLeaf(a, "list", "List the users of an account", "",
		func(cmd *cobra.Command, _ []string) error { return o.list(cmd.Context()) }))
}

func (o userOptions) list(ctx context.Context) error {
	c, account, err := o.client(ctx)
	if err != nil {
		return err
	}
	response, err := c.ListUsers(ctx, account)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	t := render.Columns(render.Items(got.Value), []string{"Name", "Type", "Source", "Created"}, []string{"username", "type", "source", "created_at"})
	t.SortBy, t.Trailing = 3, true
	return o.app.Show(got.Value, o.app.Table(t))
}

func (o userOptions) show(ctx context.Context, c *session.Client, response *http.Response, err error) error {
	got, err := c.Object(ctx, response, err, "username")
	if err != nil {
		return err
	}
	return showRecord(o.app, got.Value, [][2]string{{"Name", "username"}, {"Type", "type"}, {"Source", "source"}, {"Created", "created_at"}})
}

func newUserGetCmd(a *session.App) *cobra.Command {
	o := userOptions{app: a}
	return o.flags(session.NewLeaf(a, "get USER_NAME", "Show a user", "",
		func(cmd *cobra.Command, args []string) error {
			c, account, err := o.client(cmd.Context())
			if err != nil {
				return err
			}
			response, err := c.GetUserByName(cmd.Context(), account, args[0])
			return o.show(cmd.Context(), c, response, err)
		}))
}

func newUserAddCmd(a *session.App) *cobra.Command {
	o := userOptions{app: a}
	return o.flags(session.NewLeaf(a, "add USER_NAME [PASSWORD]", "Add a user to an account",
		"Without PASSWORD, or with -, it is asked for, or read from standard input if that is\nno terminal. It has 6 to 128 characters.",
		func(cmd *cobra.Command, args []string) error { return o.add(cmd.Context(), args) }))
}

func (o userOptions) add(ctx context.Context, args []string) error {
	c, account, err := o.client(ctx)
	if err != nil {
		return err
	}
	password, err := o.app.Secret(ctx, args, 1, args[0])
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(password); n < 6 || n > 128 {
		return session.Failf("Please enter a password of 6 to 128 characters.")
	}
	response, err := c.AddUser(ctx, account, api.UserRequest{Username: args[0], Password: password})
	return o.show(ctx, c, response, err)
}

func newUserDelCmd(a *session.App) *cobra.Command {
	o := userOptions{app: a}
	return o.flags(session.NewLeaf(a, "del USER_NAME", "Delete a user", "",
		func(cmd *cobra.Command, args []string) error { return o.del(cmd.Context(), args[0]) }))
}

func (o userOptions) del(ctx context.Context, name string) error {
	c, account, err := o.client(ctx)
	if err != nil {
		return err
	}
	response, err := c.DeleteUser(ctx, account, name)
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	return o.app.Success(got.Value)
}

func newUserSetPasswordCmd(a *session.App) *cobra.Command {
	o := userOptions{app: a}
	cmd := o.flags(session.NewLeaf(a, "setpassword [PASSWORD]", "Set the password of a user, of your own without --username",
		"Without PASSWORD, or with -, it is asked for, or read from standard input if that is\nno terminal. It has 6 to 128 characters.",
		func(cmd *cobra.Command, args []string) error { return o.setPassword(cmd.Context(), args) }))
	cmd.Flags().StringVar(&o.user, "username", "", "the user, instead of the one of this command line")
	return cmd
}

func (o userOptions) setPassword(ctx context.Context, args []string) error {
	c, account, err := o.client(ctx)
	if err != nil {
		return err
	}
	if o.user == "" {
		user, err := askUser(ctx, c)
		if err != nil {
			return err
		}
		o.user = render.Text(render.At(user, "username"))
	}
	password, err := o.app.Secret(ctx, args, 0, o.user)
	if err != nil {
		return err
	}
	response, err := c.SetCredential(ctx, account, o.user, api.CredentialRequest{Type: "password", Value: password})
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	const note = "NOTE: Be sure to change the password you're using for this client if you have reset your own password"
	text := false
	err = o.app.Show(got.Value, func(w io.Writer) error {
		text = true
		return render.WriteAll(w, "Password (re)set success\n", note, "\n")
	})
	if !text {
		o.app.Note("%s", note)
	}
	return err
}
