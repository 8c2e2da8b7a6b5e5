package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// basic are the keys of Basic authentication, which an endpoint may inherit.
const (
	basicUser     = "webhook_user"
	basicPassword = "webhook_pass"
)

// login is a way in which an endpoint itself says how to log in.
type login struct {
	key  string // below the endpoint
	what string // "" for the key
}

// logins are the ways that the endpoint says itself, those with user and password last.
func (e *Endpoint) logins(own func(name string) bool) []login {
	var list []login
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if strings.EqualFold(name, "Authorization") {
			list = append(list, login{key: "headers." + name})
		}
	}
	if u, err := anchore.ParseEndpointURL(e.URL); err == nil && u.User != nil && u.User.String() != "" {
		list = append(list, login{"url", "has a user or a password, which "})
	}
	if e.BearerToken != "" {
		list = append(list, login{key: "bearer_token"})
	}
	switch {
	case own(basicUser) && e.User != "":
		list = append(list, login{key: basicUser})
	case own(basicPassword) && e.Password != "":
		list = append(list, login{key: basicPassword})
	}
	return list
}

// finishLogin leaves an endpoint one way to log in: its own, before the user and the
// password at the top of the section. It says whether those do not hold for it.
func (e *Endpoint) finishLogin(l *layers, section string) (alone bool) {
	own := func(name string) bool { return l.viper.IsSet(section + "." + name) }
	ways := e.logins(own)
	if len(ways) == 0 {
		alone = own(basicUser) // that is empty: no user, and so no password of the section's
	} else {
		last := ways[len(ways)-1]
		for _, w := range ways[:len(ways)-1] {
			l.report(section+"."+w.key, false, w.what+"excludes "+last.key+"; leave one of them out")
		}
		alone = last.key != basicUser && last.key != basicPassword
	}
	if alone {
		e.User, e.Password = "", ""
	}
	return alone
}
