package anchore

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// AdminAccount is the account, and the name of its user, that the first start
// creates. Its users may act in every account.
const AdminAccount = "admin"

// AccountType tells what an account's users may do.
type AccountType string

const (
	UserAccount AccountType = "user"  // everything inside the account
	AdminType   AccountType = "admin" // everything in every account
)

// AccountState is the state of an account.
type AccountState string

const (
	AccountEnabled  AccountState = "enabled"
	AccountDisabled AccountState = "disabled"
	AccountDeleting AccountState = "deleting"
)

// Account owns images, subscriptions, events and notifications.
type Account struct {
	Name      string
	Type      AccountType
	State     AccountState
	Email     string // "" for none
	CreatedAt time.Time
	UpdatedAt time.Time
}

// User is somebody who can log in to an account.
type User struct {
	Name      string // unique in the engine
	Account   string
	CreatedAt time.Time
	UpdatedAt time.Time
	Password  time.Time // when the password was set, zero if the user has none
}

// nameForm is the form of the names of accounts and users, the original's: 3 to
// 128 characters, the first and the last a letter or digit.
var nameForm = regexp.MustCompile("^[a-zA-Z0-9][a-zA-Z0-9@.!#$+-=^_`~;]{1,126}[a-zA-Z0-9]$")

// CheckName checks the name of a new account or user; what is "account" or "user".
// Errors: Invalid.
func CheckName(what, name string) error {
	const op = "anchore.CheckName"
	switch {
	case !nameForm.MatchString(name):
		return E(Invalid, op, "%.140q cannot be the name of a new %s: it takes 3 to 128 characters, letters, digits and most signs but no blanks, with a letter or digit at both ends", name, what)
	case name == AdminAccount || name == "system" || name == "anchore-system":
		return E(Invalid, op, "Invalid %s request: Cannot use name %s", what, name)
	}
	return nil
}

// CheckEmail checks the address of a new account, "" for none. It may be of any form,
// but stands in notifications and in tables, each of which is on one line. Errors:
// Invalid.
func CheckEmail(email string) error {
	if strings.ContainsFunc(email, unicode.IsControl) {
		return E(Invalid, "anchore.CheckEmail", "%.140q cannot be the e-mail address of an account: it has a line break or another control character", email)
	}
	return nil
}

// The least and the most characters of a password.
const (
	minPassword = 6
	maxPassword = 128
)

// CheckPassword checks a new password. Errors: Invalid, which does not show it.
func CheckPassword(password Secret) error {
	if n := utf8.RuneCountInString(password.Reveal()); n < minPassword || n > maxPassword {
		return E(Invalid, "anchore.CheckPassword", "a password takes %d to %d characters; this one has %d", minPassword, maxPassword, n)
	}
	return nil
}
