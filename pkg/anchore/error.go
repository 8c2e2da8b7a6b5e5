package anchore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind says what the receiver of an error can do about it. The REST API maps a
// kind to a status in one place, the command line to an exit code in another.
type Kind int

const (
	Internal     Kind = iota // a defect or a broken disk; logged, its cause hidden from users
	Invalid                  // the request must change
	Unauthorized             // log in
	Forbidden                // ask for the right
	NotFound                 // look elsewhere; also said of another account's things
	Conflict                 // read again; a lease was lost, or the thing is in use
	Limited                  // wait; Error.After says how long where it is known
	Unavailable              // wait; something the engine depends on does not answer
	kinds                    // the number of kinds, for tests that range over them
)

// Kinds returns every kind, in order. Mappings are tested against it, so that a
// new kind cannot be forgotten.
func Kinds() []Kind {
	all := make([]Kind, 0, kinds)
	for k := range kinds {
		all = append(all, k)
	}
	return all
}

func (k Kind) String() string {
	switch k {
	case Internal:
		return "internal"
	case Invalid:
		return "invalid"
	case Unauthorized:
		return "unauthorized"
	case Forbidden:
		return "forbidden"
	case NotFound:
		return "not found"
	case Conflict:
		return "conflict"
	case Limited:
		return "limited"
	case Unavailable:
		return "unavailable"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Error is the one error type with a meaning outside its package. It is always
// used as a pointer.
type Error struct {
	Kind    Kind
	Op      string         // package.Function, for the log: "catalog.AddTag"
	Message string         // for the user: what, with which value, what to do
	After   time.Duration  // with Limited and Unavailable: the least wait, 0 if unknown
	Codes   []string       // names for the API's detail.error_codes, e.g. REGISTRY_IMAGE_NOT_FOUND
	Detail  map[string]any // further properties of the API's detail object
	Err     error          // cause, for the log; never shown
}

// E makes an error. The message is written for the user: what was wrong, with
// which value, and what to do.
func E(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Message: fmt.Sprintf(format, args...)}
}

// Because records the cause, for the log, and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// WithCodes names the API's error codes and returns e.
func (e *Error) WithCodes(codes ...string) *Error {
	e.Codes = codes
	return e
}

func (e *Error) Error() string {
	text := e.Message
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// ErrNotAsked is in the chain of each error that ends a question to a registry before
// the registry is asked, for want of a login to show: it says nothing of the registry.
var ErrNotAsked = errors.New("the registry was not asked")

// KindOf returns the kind of the outermost Error in err's chain. A context that
// ended is Unavailable; anything else without an Error is Internal, nil too.
func KindOf(err error) Kind {
	if err == nil { // asked several times in each look at a tag, where errors.As would allocate
		return Internal
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// AfterOf returns the least wait that err asks for, or 0.
func AfterOf(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

// CodesOf returns the error codes of the outermost Error in err's chain.
func CodesOf(err error) []string {
	var e *Error
	if errors.As(err, &e) {
		return slices.Clone(e.Codes)
	}
	return nil
}

// MessageOf returns the text for the user: the message of the outermost Error in
// err's chain. What has none is hidden behind a general sentence, since its text
// may hold internals.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Kind != Internal {
		return e.Message
	}
	if KindOf(err) == Unavailable {
		return "the engine could not finish the request in time; try again"
	}
	return "internal error; the engine's log has the cause"
}
