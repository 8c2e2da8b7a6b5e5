package operator

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// NewRegistryCmd is the group "registry".
func NewRegistryCmd(a *session.App) *cobra.Command {
	cmd := session.NewGroup(a, "registry", "Manage the credentials of registries")
	cmd.AddCommand(newRegistryListCmd(a), newRegistryGetCmd(a), newRegistryAddCmd(a), newRegistryUpdateCmd(a), newRegistryDelCmd(a))
	return cmd
}

func newRegistryListCmd(a *session.App) *cobra.Command {
	return session.NewLeaf(a, "list", "List the registries that there are credentials for", "",
		func(cmd *cobra.Command, _ []string) error { return runRegistryList(cmd.Context(), a) })
}

func runRegistryList(ctx context.Context, a *session.App) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.ListRegistries(ctx)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	return a.Show(got.Value, a.Table(registryTable(render.Items(got.Value), a.Wide())))
}

func registryTable(registries []any, wide bool) render.Table {
	t := render.Table{Columns: []string{"Registry", "Name", "Type", "User"}}
	if wide {
		t.Columns = append(t.Columns, "Verify TLS", "Updated")
	}
	for _, r := range registries {
		row := []any{render.At(r, "registry"), render.OrDefault(render.At(r, "registry_name"), "N/A"), render.At(r, "registry_type"), render.At(r, "registry_user")}
		if wide {
			row = append(row, render.At(r, "registry_verify"), render.At(r, "last_updated"))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func newRegistryGetCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "get REGISTRY", "Show the credentials of a registry, without the password", "",
		func(cmd *cobra.Command, args []string) error { return runRegistryGet(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(registries(a))
	return cmd
}

func runRegistryGet(ctx context.Context, a *session.App, registry string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.GetRegistry(ctx, registry)
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	return showRegistries(a, got.Value)
}

func showRegistries(a *session.App, list any) error {
	return a.Show(list, func(w io.Writer) error {
		var k render.KeyLines
		for _, r := range render.Items(list) {
			k.Add("Registry", render.At(r, "registry"))
			k.Add("Name", render.OrDefault(render.At(r, "registry_name"), "N/A"))
			k.Add("User", render.At(r, "registry_user"))
			k.Add("Type", render.At(r, "registry_type"))
			k.Add("Verify TLS", render.At(r, "registry_verify"))
			k.Add("Created", render.At(r, "created_at"))
			k.Add("Updated", render.At(r, "last_updated"))
			k.Blank()
		}
		return k.Write(w)
	})
}

// registryOptions are those of registry add and registry update.
type registryOptions struct {
	app                    *session.App
	insecure, skipValidate bool
	typ, name              string
}

const registryHelp = `REGISTRY is a host, with its port if it has one, or a part of a registry, for
example quay.io/team/* or quay.io/team/app. The longest that fits an image is used.

Without REGISTRY_PASS, or with -, the password is asked for, or read from standard
input if that is no terminal. For example:

    anchore-cli registry %s registry.example.com:5000 puller - < password-file

The engine tries the credentials first, unless --skip-validate is given. The option
--insecure is about the registry here; before the word registry it is about the engine.`

func newRegistryAddCmd(a *session.App) *cobra.Command {
	opts := registryOptions{app: a}
	cmd := session.NewLeaf(a, "add REGISTRY REGISTRY_USER [REGISTRY_PASS]", "Add the credentials of a registry",
		fmt.Sprintf(registryHelp, "add")+"\n\nThe type is docker_v2, or awsecr for a registry with a name of Amazon's.",
		func(cmd *cobra.Command, args []string) error { return opts.add(cmd.Context(), args) })
	opts.flags(cmd)
	return cmd
}

func newRegistryUpdateCmd(a *session.App) *cobra.Command {
	opts := registryOptions{app: a}
	cmd := session.NewLeaf(a, "update REGISTRY REGISTRY_USER [REGISTRY_PASS]", "Replace the credentials of a registry",
		fmt.Sprintf(registryHelp, "update")+"\n\nThe type and the name stay as they are unless they are given.",
		func(cmd *cobra.Command, args []string) error { return opts.update(cmd.Context(), args) })
	cmd.ValidArgsFunction = a.Complete(registries(a))
	opts.flags(cmd)
	return cmd
}

func (o *registryOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.insecure, "insecure", false, "the engine does not verify the registry's TLS certificate, and may use plain HTTP")
	cmd.Flags().StringVar(&o.typ, "registry-type", "", "docker_v2 or awsecr")
	o.app.CompleteFlag(cmd, "registry-type", session.OneOf(string(anchore.RegistryDocker), string(anchore.RegistryECR)))
	cmd.Flags().BoolVar(&o.skipValidate, "skip-validate", false, "do not try the credentials first")
	cmd.Flags().StringVar(&o.name, "registry-name", "", "a name for people")
}

// amazonName is that of a registry of Amazon.
var amazonName = regexp.MustCompile(`^[0-9]+\.dkr\.ecr\..*\.amazonaws\.com`)

func (o registryOptions) add(ctx context.Context, args []string) error {
	typ := o.typ
	if typ == "" {
		typ = string(anchore.RegistryDocker)
		if amazonName.MatchString(args[0]) {
			typ = string(anchore.RegistryECR)
			o.app.Note("WARN: setting registry type to 'awsecr' based on form of input registry name, remove and re-add using '--registry-type docker_v2' to override")
		}
	}
	name := cmp.Or(o.name, args[0])
	pass, c, err := o.prepare(ctx, args, typ)
	if err != nil {
		return err
	}
	verify, validate := !o.insecure, !o.skipValidate
	response, err := c.AddRegistry(ctx, &api.AddRegistryParams{Validate: &validate}, api.RegistryRequest{
		Registry: args[0], RegistryUser: args[1], RegistryPass: pass, RegistryType: &typ, RegistryVerify: &verify, RegistryName: &name,
	})
	return o.show(ctx, c, response, err)
}

// update sends no type and no name that was not given: they stay as they are.
func (o registryOptions) update(ctx context.Context, args []string) error {
	pass, c, err := o.prepare(ctx, args, cmp.Or(o.typ, string(anchore.RegistryDocker)))
	if err != nil {
		return err
	}
	verify, validate := !o.insecure, !o.skipValidate
	response, err := c.UpdateRegistry(ctx, args[0], &api.UpdateRegistryParams{Validate: &validate}, api.RegistryUpdate{
		Registry: &args[0], RegistryUser: &args[1], RegistryPass: &pass, RegistryType: session.Optional(o.typ), RegistryVerify: &verify, RegistryName: session.Optional(o.name),
	})
	return o.show(ctx, c, response, err)
}

// prepare checks the type before it asks for a password.
func (o registryOptions) prepare(ctx context.Context, args []string, typ string) (pass string, c *session.Client, err error) {
	if _, err := anchore.ParseRegistryType(typ); err != nil {
		return "", nil, session.Failf("%s", anchore.MessageOf(err))
	}
	if c, err = o.app.Client(); err != nil {
		return "", nil, err
	}
	pass, err = o.password(ctx, args)
	return pass, c, err
}

func (o registryOptions) show(ctx context.Context, c *session.Client, response *http.Response, err error) error {
	got, err := c.List(ctx, response, err)
	if err != nil {
		return err
	}
	return showRegistries(o.app, got.Value)
}

// password is none that is worth hiding where the engine's host has the credentials.
func (o registryOptions) password(ctx context.Context, args []string) (string, error) {
	ambient := args[1] == anchore.AmbientLogin || len(args) > 2 && args[2] == anchore.AmbientLogin
	switch {
	case ambient && len(args) > 2:
		return args[2], nil
	case ambient:
		return anchore.AmbientLogin, nil
	}
	return o.app.Secret(ctx, args, 2, args[1]+" at "+args[0])
}

func newRegistryDelCmd(a *session.App) *cobra.Command {
	cmd := session.NewLeaf(a, "del REGISTRY", "Delete the credentials of a registry", "",
		func(cmd *cobra.Command, args []string) error { return runRegistryDel(cmd.Context(), a, args[0]) })
	cmd.ValidArgsFunction = a.Complete(registries(a))
	return cmd
}

func runRegistryDel(ctx context.Context, a *session.App, registry string) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	response, err := c.DeleteRegistry(ctx, registry)
	got, err := c.Do(ctx, response, err)
	if err != nil {
		return err
	}
	return a.Success(got.Value)
}

// registries asks the engine for the registries that it has credentials for.
func registries(a *session.App) session.Completer {
	return func(cmd *cobra.Command, _ []string) []string {
		return a.Column(cmd, "registry", func(ctx context.Context, c *session.Client) (*http.Response, error) {
			return c.ListRegistries(ctx)
		})
	}
}
