package rest

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// How many characters an error's answer repeats of one text of the request, and has in
// all of one sentence.
const (
	longestEcho    = 200
	longestMessage = 2000
)

// echoPattern finds what may be a text of the request in the message of an error: what
// is in quotes, as %q writes it, and single words.
var echoPattern = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[^\s"]+`)

// shortened is a message, or a text of an error's detail, without the rest of what is
// very long in it: a request may have values of many kilobytes.
func shortened(message string) string {
	if len(message) <= longestEcho {
		return message
	}
	message = echoPattern.ReplaceAllStringFunc(message, func(text string) string {
		if inner, quoted := strings.CutPrefix(text, `"`); quoted {
			return `"` + beginning(strings.TrimSuffix(inner, `"`), longestEcho) + `"`
		}
		return beginning(text, longestEcho)
	})
	return beginning(message, longestMessage)
}

// beginning is the first most characters of a text, with a sign that there are more.
func beginning(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
