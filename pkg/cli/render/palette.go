package render

// Palette colours single words for people. The zero value leaves them as they are.
type Palette bool

// NewPalette colours on a terminal that can, unless NO_COLOR is set (no-color.org).
func NewPalette(terminal bool, env func(name string) string) Palette {
	return Palette(terminal && env("NO_COLOR") == "" && env("TERM") != "dumb")
}

// Bad is a word for what went wrong, in red.
func (p Palette) Bad(word string) string { return p.paint("31", word) }

// Good is a word for what is as it should be, in green.
func (p Palette) Good(word string) string { return p.paint("32", word) }

// Careful is a word for what deserves a look, in yellow.
func (p Palette) Careful(word string) string { return p.paint("33", word) }

// paint puts word between the escape sequences of ECMA-48 §8.3.117 (SGR).
func (p Palette) paint(code, word string) string {
	if !p {
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}
