package anchore

// Secret is a text that must not be shown: a password, a token, a signing key.
// Printing, logging or encoding it gives a mask; Reveal gives the text.
type Secret string

const mask = "******"

// Reveal returns the text, for the one place that must send it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks the %#v form.
func (s Secret) GoString() string { return s.String() }

// MarshalText masks the secret in JSON, YAML and slog's text form.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
