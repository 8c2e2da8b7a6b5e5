// Package challenge reads how a server wants to be asked: the header
// WWW-Authenticate of an answer with status 401 (RFC 9110 §11.6.1).
package challenge

import "strings"

// The schemes that can be answered.
const (
	Basic  = "basic"  // user and password, RFC 7617
	Bearer = "bearer" // a token that the service at the parameter realm gives
)

// Challenge is one way in.
type Challenge struct {
	Scheme string            // lower case
	Params map[string]string // by name in lower case
}

// Pick chooses from the values of WWW-Authenticate what can be answered, Bearer
// before Basic, and reports whether there is such a challenge.
func Pick(headers []string) (Challenge, bool) {
	var found Challenge
	for _, h := range headers {
		for _, ch := range parse(h) {
			if ch.Scheme == Bearer || ch.Scheme == Basic && found.Scheme == "" {
				found = ch
			}
		}
	}
	return found, found.Scheme != ""
}

// parse reads one WWW-Authenticate header, which may hold several
// challenges. What it does not understand it leaves out.
func parse(s string) []Challenge {
	var list []Challenge
	for s = skipBlank(s); s != ""; s = skipBlank(s) {
		word, rest := cutToken(s)
		if word == "" {
			return list
		}
		rest = strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(rest, "=") { // a scheme: no parameter of the one before
			list = append(list, Challenge{Scheme: strings.ToLower(word), Params: map[string]string{}})
			s = rest
			continue
		}
		value, after := cutValue(strings.TrimLeft(rest[1:], " \t"))
		if len(list) > 0 {
			list[len(list)-1].Params[strings.ToLower(word)] = value
		}
		s = after
	}
	return list
}

func skipBlank(s string) string { return strings.TrimLeft(s, " \t,") }

func cutToken(s string) (word, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool {
		return r > 0x7e || r <= ' ' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// cutValue reads a token or a quoted string.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			return s, ""
		}
		return s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
