package config

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// value is a setting's text and what it was read as.
type value struct {
	text     string
	n        int
	rate     float64
	yes      bool
	duration time.Duration
	level    slog.Level
	platform anchore.Platform
	levels   map[anchore.Level]bool
	list     []string
}

// kind is a form of values.
type kind struct {
	what   string // what is allowed, after "must be"
	hidden bool   // a secret: never shown
	list   bool   // in a file a list of values, which read is given joined by commas
	read   func(s string) (value, error)
}

// errForm says that a text has not the form of its kind.
var errForm = errors.New("not of this form")

var (
	text          = kind{what: "text on one line", read: readText}
	secret        = kind{what: "text on one line", hidden: true, read: readText}
	header        = secret
	signingSecret = kind{what: "text on one line; after whsec_ the base64 of 24 to 64 bytes", hidden: true, read: readSigningSecret}
	boolean       = kind{what: "true or false", read: readBoolean}
	address       = kind{what: "host:port with a port from 0 to 65535", read: readAddress}
	httpURL       = kind{what: anchore.HTTPURL, read: readURL}
	secretURL     = kind{what: anchore.HTTPURL, hidden: true, read: readURL}
	logLevel      = kind{what: "one of DEBUG, INFO, WARN, ERROR (or the original's FATAL, SPEW)", read: readLevel}
	levels        = kind{what: "a list of info, error and fatal", list: true, read: readLevels}
	platform      = kind{what: "os/architecture[/variant], e.g. linux/amd64", read: readPlatform}
	rate          = kind{what: "a number from 0 to 100000", read: readRate}
	timer         = kind{what: "a whole number of seconds or a duration such as 90s or 5m, at most 168h; 0 switches it off", read: readTimer}
)

func readText(s string) (value, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return value{}, errForm
	}
	return value{text: s}, nil
}

// readBoolean takes the spellings of YAML 1.1, which the original's files use.
func readBoolean(s string) (value, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on":
		return value{text: s, yes: true}, nil
	case "false", "no", "off":
		return value{text: s}, nil
	}
	return value{}, errForm
}

func readAddress(s string) (value, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /@") {
		return value{}, errForm
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return value{}, errForm
	}
	return readText(s)
}

func readURL(s string) (value, error) {
	if s == "" {
		return value{}, nil
	}
	if _, err := anchore.ParseHTTPURL(s); err != nil {
		return value{}, errForm
	}
	return readText(s)
}

func readLevel(s string) (value, error) {
	levels := map[string]slog.Level{
		"SPEW": slog.LevelDebug, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
		"WARN": slog.LevelWarn, "WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "FATAL": slog.LevelError,
	}
	level, ok := levels[strings.ToUpper(s)]
	if !ok {
		return value{}, errForm
	}
	return value{text: s, level: level}, nil
}

// readLevels reads levels of events. "all" is the original's word for any.
func readLevels(s string) (value, error) {
	v := value{text: s, levels: map[anchore.Level]bool{}}
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch l := anchore.Level(strings.ToLower(word)); l {
		case anchore.Info, anchore.Failure, anchore.Fatal:
			v.levels[l] = true
		case "all":
			return value{text: s}, nil
		default:
			return value{}, errForm
		}
	}
	return v, nil
}

func readPlatform(s string) (value, error) {
	p, err := anchore.ParsePlatform(s)
	if err != nil {
		return value{}, err
	}
	return value{text: s, platform: p}, nil
}

func readRate(s string) (value, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 100000 {
		return value{}, errForm
	}
	return value{text: s, rate: f}, nil
}

// readDuration takes whole seconds, the original's only form, or Go's.
func readDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(s)
}

// readTimer follows the original's rules for cycle timers, except its bounds.
func readTimer(s string) (value, error) {
	d, err := readDuration(s)
	if err != nil {
		return value{}, errForm
	}
	d = d.Abs()
	if d > 7*24*time.Hour || d != 0 && d < time.Second {
		return value{}, errForm
	}
	return value{text: s, duration: d}, nil
}

// whole is a whole number from low to high.
func whole(low, high int) kind {
	what := "a whole number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high)
	if low == -1<<31 {
		what = "a whole number of at most " + strconv.Itoa(high) + "; negative: no limit"
	}
	return kind{what: what, read: func(s string) (value, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return value{}, errForm
		}
		return value{text: strconv.Itoa(n), n: n}, nil
	}}
}

// seconds is a time from low to high.
func seconds(low, high time.Duration) kind {
	what := "a whole number of seconds or a duration such as 90s or 72h, from " + low.String() + " to " + high.String()
	return kind{what: what, read: func(s string) (value, error) {
		d, err := readDuration(s)
		if err != nil || d < low || d > high {
			return value{}, errForm
		}
		return value{text: s, duration: d}, nil
	}}
}

func choice(words ...string) kind {
	return kind{what: "one of " + strings.Join(words, ", "), read: func(s string) (value, error) {
		for _, w := range words {
			if strings.EqualFold(s, w) {
				return value{text: w}, nil
			}
		}
		return value{}, errForm
	}}
}

// readSigningSecret checks the form of the Standard Webhooks specification, so that
// a mistyped key is found at start and not by every receiver.
func readSigningSecret(s string) (value, error) {
	if encoded, ok := strings.CutPrefix(s, "whsec_"); ok {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) < 24 || len(raw) > 64 {
			return value{}, errForm
		}
	}
	return readText(s)
}
