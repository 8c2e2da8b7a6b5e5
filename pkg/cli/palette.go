package cli

// palette colours single words for people. The zero value leaves them as they are.
type palette bool

// newPalette colours on a terminal that can, unless NO_COLOR is set (no-color.org).
func newPalette(terminal bool, env environment) palette {
	return palette(terminal && env("NO_COLOR") == "" && env("TERM") != "dumb")
}

func (p palette) bad(word string) string     { return p.paint("31", word) }
func (p palette) good(word string) string    { return p.paint("32", word) }
func (p palette) careful(word string) string { return p.paint("33", word) }

// paint puts word between the escape sequences of ECMA-48 §8.3.117 (SGR).
func (p palette) paint(code, word string) string {
	if !p {
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}
