package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/anchore/anchore-engine/pkg/cli/render"
)

// maxAnswer is more than a list of a million subscriptions, in bytes.
const maxAnswer = 1 << 30

// Answer is a response that was read completely.
type Answer struct {
	Status  int    // of HTTP
	Value   any    // as render decodes it; a body that is no JSON is a string
	isJSON  bool   // or there is no body
	media   string // of the body, without parameters; "" if it is not told
	request string // as "GET /v1/images"
}

// Do reads the response that a method of the generated client returned. A
// failure status is a *Failure with the engine's own words; an answer that is no
// engine's is one with exit code 2. The original asked for the configured URL before
// each command; here that is asked only when a failure cannot have come from an engine.
func (c *Client) Do(ctx context.Context, response *http.Response, err error) (Answer, error) {
	a, err := c.Read(response, err)
	if err != nil {
		return a, err
	}
	if a.Status >= 200 && a.Status <= 298 {
		return a, c.recognize(a)
	}
	if a.Status == http.StatusUnauthorized {
		return a, c.refused()
	}
	if _, ok := a.Value.(render.Object); !ok {
		if err := c.Check(ctx); err != nil {
			return a, err
		}
	}
	return a, &Failure{Answer: a.Value, Status: a.Status, code: statusCode(a.Status)}
}

// List is Do where an engine answers with a list.
func (c *Client) List(ctx context.Context, response *http.Response, err error) (Answer, error) {
	a, err := c.Do(ctx, response, err)
	if _, ok := a.Value.([]any); err == nil && !ok {
		return a, c.foreign(a, kindOf(a.Value)+", not with a list")
	}
	return a, err
}

// Object is Do where an engine answers with an object that has the given keys.
func (c *Client) Object(ctx context.Context, response *http.Response, err error, keys ...string) (Answer, error) {
	a, err := c.Do(ctx, response, err)
	if err != nil {
		return a, err
	}
	o, ok := a.Value.(render.Object)
	if !ok {
		return a, c.foreign(a, kindOf(a.Value)+", not with an object")
	}
	for _, key := range keys {
		if _, ok := o.Lookup(key); !ok {
			return a, c.foreign(a, fmt.Sprintf("an object that lacks %q", key))
		}
	}
	return a, nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if v == "" {
			return "nothing"
		}
		return "a text"
	case render.Object:
		return "an object"
	case []any:
		return "a list"
	}
	return render.Text(v)
}

// recognize fails if a successful answer is none of an engine: a page, as a proxy that
// asks for a login has it. An engine answers with JSON, or with nothing; old ones
// may not say that it is JSON.
func (c *Client) recognize(a Answer) error {
	switch {
	case a.Value == "":
		return nil
	case a.media == "text/html" || !a.isJSON && a.media != "" && a.media != "application/json":
		return c.foreign(a, a.media+", not with JSON")
	case !a.isJSON:
		return c.foreign(a, "a text that is no JSON")
	}
	return nil
}

// foreign is the failure of an answer that is none of an engine.
func (c *Client) foreign(a Answer, what string) error {
	return c.noAccess(fmt.Sprintf("it answers %s with %s", a.request, what), nil).
		Hint("is the URL that of an engine? A proxy that asks for a login may have answered instead")
}

// Read gets the body. Errors: no answer at all, or none of a server that speaks as the
// URL says.
func (c *Client) Read(response *http.Response, err error) (Answer, error) {
	var redirect *refusedRedirect
	if errors.As(err, &redirect) {
		return Answer{}, c.redirected(redirect)
	}
	if err != nil {
		c.debug("%v", err)
		if scheme := otherScheme(err); scheme != "" && scheme != c.scheme {
			return Answer{}, c.wrongScheme(scheme, err)
		}
		return Answer{}, c.noAccess("", err).Hint("%s", unreachableHint(c.Root, err, c.set.authorities()))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	request := response.Request
	c.debug("%s url=%s httpcode=%d bytes=%d", request.Method, request.URL.Redacted(), response.StatusCode, len(body))
	if err != nil {
		return Answer{}, Failf("the answer of %s was cut off", c.Root).because(err).Hint("try again; if it is cut off each time, look at the engine's log and at proxies on the way")
	}
	if c.scheme == "http" && response.StatusCode == http.StatusBadRequest && asksForTLS(body) {
		return Answer{}, c.wrongScheme("https", nil)
	}
	a := Answer{Status: response.StatusCode, Value: render.PlainText(body), request: request.Method + " " + request.URL.EscapedPath()}
	a.media, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type")) // "" for what is none
	if len(bytes.TrimSpace(body)) == 0 {
		a.Value, a.isJSON = "", true
	} else if v, err := render.DecodeJSON(body); err == nil {
		a.Value, a.isJSON = v, true
	}
	return a, nil
}

// Check asks for the configured URL, as the original's start-up check did.
func (c *Client) Check(ctx context.Context) error {
	response, err := c.Raw(ctx, http.MethodGet, c.Root)
	a, err := c.Read(response, err)
	switch {
	case err != nil:
		return err
	case a.Status == http.StatusUnauthorized:
		return c.refused()
	case a.Status < 200 || a.Status > 298:
		return c.noAccess(fmt.Sprintf("it answers with HTTP %d", a.Status), nil).Hint("is the URL that of an engine? It should end in /v1")
	}
	return c.recognize(a)
}
