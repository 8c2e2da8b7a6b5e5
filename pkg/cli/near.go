package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/cli/render"
	"github.com/anchore/anchore-engine/pkg/cli/session"
)

// hintNear adds to f the keys of the subscriptions of a type that the user may have
// meant by what was typed, and tells whether there are any.
func hintNear(ctx context.Context, a *session.App, f *session.Failure, typ, typed string) bool {
	list, err := listSubscriptions(ctx, a, &api.ListSubscriptionsParams{SubscriptionType: &typ})
	if err != nil {
		return false
	}
	var keys []string
	for _, s := range render.Items(list) {
		keys = append(keys, render.Text(render.At(s, "subscription_key")))
	}
	near := nearestKeys(typed, fullKey(typ, typed), keys)
	if len(near) > 0 {
		f.Hint("did you mean %s?", strings.Join(near, ", or "))
	}
	return len(near) > 0
}

// nearestKeys returns at most three of the keys that look like what was typed or like
// its full form. They are compared as people write them: what all of Docker Hub's
// names begin with makes none of them alike.
func nearestKeys(typed, full string, keys []string) []string {
	const most = 3
	written := map[string]string{} // short form → key
	var short []string
	for _, key := range keys {
		s := shortKey(key)
		if _, ok := written[s]; !ok {
			short = append(short, s)
			written[s] = key
		}
	}
	var near []string
	for _, word := range []string{shortKey(full), shortKey(typed)} {
		for _, s := range session.Nearest(word, short, most) {
			if key, ok := written[s]; ok && len(near) < most {
				near = append(near, key)
				delete(written, s)
			}
		}
	}
	return near
}

// fullKey is a typed key of a subscription as the engine writes it; what it cannot be
// read as stays as it is.
func fullKey(typ, typed string) string {
	ref, err := anchore.ParseReference(typed)
	switch {
	case err != nil:
		return typed
	case typ == string(anchore.RepoUpdate):
		return ref.RepositoryName()
	}
	return ref.String()
}

// shortKey is a key without what Docker Hub's names may be written without.
func shortKey(key string) string {
	return strings.TrimPrefix(strings.TrimPrefix(key, "docker.io/"), "library/")
}

// hintType adds to a refusal the types of subscriptions that there are, if typ is
// none of them.
func hintType(err error, typ string) error {
	f := session.AsFailure(err)
	types := subscriptionTypes(nil, nil)
	if f == nil || f.Status != http.StatusBadRequest || typ == "" || slices.Contains(types, typ) {
		return err
	}
	hint := "the types are " + strings.Join(types, ", ")
	if near := session.Nearest(typ, types, 1); len(near) > 0 {
		hint += fmt.Sprintf("; did you mean %s?", near[0])
	}
	return f.Hint("%s", hint)
}
