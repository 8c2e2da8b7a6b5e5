package anchore

import "time"

// AdminAccount is the account, and the name of its user, that the first start
// creates. Its users may act in every account.
const AdminAccount = "admin"

// AccountType tells what an account's users may do.
type AccountType string

const (
	UserAccount     AccountType = "user"  // everything inside the account
	AdminType       AccountType = "admin" // everything in every account
	ExternalAccount AccountType = "external"
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
}
