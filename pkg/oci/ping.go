package oci

import (
	"context"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// Ping asks a registry, not its mirrors, whether it is one and accepts the
// credential. Nothing that is known from before is used. Errors: as of Client;
// NotFound if there is something else at the address.
func (c *Client) Ping(ctx context.Context, registry string, cred Credential) error {
	fresh := newClient(c.cfg)
	defer fresh.Close()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r := request{Question: answer.Question{Op: "oci.Ping", Ref: anchore.Reference{Registry: registry}, Method: http.MethodGet, Path: "/v2/"}, accept: "application/json"}
	res, err := fresh.askAs(ctx, r, cred)
	switch kind := anchore.KindOf(err); {
	case err == nil:
		return res.Body.Close()
	case kind == anchore.NotFound:
		return anchore.E(kind, r.Op, "there is no registry at %s", registry).WithCodes(anchore.CodeNotAccessible).Because(err)
	case kind == anchore.Unauthorized && cred.anonymous():
		return nil // it is a registry, and lets nobody in at the door; what the original took
	case cred.Kind == PasswordLogin && (kind == anchore.Unauthorized || kind == anchore.Forbidden):
		return anchore.E(kind, r.Op, "cannot login to registry user=%s registry=%s - invalid username/password", cred.Username, registry).WithCodes(anchore.CodePermissionDenied).Because(err)
	}
	return err
}
