package session

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/pflag"
)

// MaxSeconds is the longest time that a command waits: more than 30 years, and less
// than a time.Duration has.
const MaxSeconds = 1e9

// Number adds a flag for a number from low to high to fs. The value has the default
// already. What is outside is a usage error, which ends with more, for example
// "; 0 is any".
func Number(fs *pflag.FlagSet, value *float64, name string, low, high float64, more, usage string) {
	fs.Var(&number{value, low, high, more}, name, usage)
}

// Timeout adds --timeout, in seconds: below 0 for ever, which is the default.
func Timeout(fs *pflag.FlagSet, value *float64) {
	*value = -1
	Number(fs, value, "timeout", -MaxSeconds, MaxSeconds, "; -1 is for as long as it takes", "seconds to wait; -1 for as long as it takes")
}

// Interval adds --interval, in seconds; 5 is the default.
func Interval(fs *pflag.FlagSet, value *float64) {
	*value = 5
	Number(fs, value, "interval", 0, MaxSeconds, "", "seconds between two looks")
}

// number is the value of a flag. It is a pflag.Value.
type number struct {
	value     *float64
	low, high float64
	more      string
}

func (n *number) Type() string { return "float64" }

func (n *number) String() string { return strconv.FormatFloat(*n.value, 'g', -1, 64) }

// Set takes no infinity and nothing that is not a number, although ParseFloat does.
func (n *number) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return err
	}
	if math.IsNaN(v) || v < n.low || v > n.high {
		return &rangeError{fmt.Sprintf("%s is not in the range %s<=x<=%s%s.", text, decimal(n.low), decimal(n.high), n.more)}
	}
	*n.value = v
	return nil
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// rangeError is a number that is none of those that are allowed, in click's words.
type rangeError struct{ message string }

func (e *rangeError) Error() string { return e.message }
