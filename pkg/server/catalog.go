package server

import (
	"context"
	"io"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/server/document"
)

// Catalog is what the server uses of catalog.Catalog. Everything is asked for
// within one account, so that a handler cannot reach into another.
type Catalog interface {
	accounts
	subscriptions
	images
	events
	registries
	imports
	archive
}

type accounts interface {
	// Authenticate returns the user if the password is right. Errors: Unauthorized.
	Authenticate(ctx context.Context, user string, password anchore.Secret) (anchore.User, error)
	Account(ctx context.Context, name string) (anchore.Account, error)
	Accounts(ctx context.Context, state anchore.AccountState) ([]anchore.Account, error)
	AddAccount(ctx context.Context, name, email string) (anchore.Account, error)
	SetAccountState(ctx context.Context, name string, state anchore.AccountState) error
	DeleteAccount(ctx context.Context, name string) error
	Users(ctx context.Context, account string) ([]anchore.User, error)
	AccountUser(ctx context.Context, account, user string) (anchore.User, error)
	AddUser(ctx context.Context, account, user string, password anchore.Secret) (anchore.User, error)
	DeleteUser(ctx context.Context, account, user string) error
	SetPassword(ctx context.Context, account, user string, password anchore.Secret) (anchore.User, error)
	RemovePassword(ctx context.Context, account, user string) error
}

type subscriptions interface {
	Subscriptions(ctx context.Context, account string, f catalog.SubscriptionFilter, after string, limit int) (list []anchore.Subscription, next string, err error)
	Subscription(ctx context.Context, account, id string) (anchore.Subscription, error)
	AddSubscription(ctx context.Context, s anchore.Subscription) (stored anchore.Subscription, created bool, err error)
	UpdateSubscription(ctx context.Context, account, id string, u catalog.SubscriptionUpdate) (anchore.Subscription, error)
	DeleteSubscription(ctx context.Context, account, id string) error
}

// registries hands no password out.
type registries interface {
	Registries(ctx context.Context, account string) ([]anchore.Registry, error)
	Registry(ctx context.Context, account, name string) (anchore.Registry, error)
	AddRegistry(ctx context.Context, r anchore.Registry, verify catalog.VerifyRegistry) (anchore.Registry, error)
	UpdateRegistry(ctx context.Context, account, name string, u catalog.RegistryUpdate, verify catalog.VerifyRegistry) (anchore.Registry, error)
	DeleteRegistry(ctx context.Context, account, name string) error
}

type images interface {
	Image(ctx context.Context, account, digest string) (anchore.Image, error)
	ImageByID(ctx context.Context, account, id string) (anchore.Image, error)
	Images(ctx context.Context, account string, f catalog.ImageFilter, after string, limit int) (list []anchore.Image, next string, err error)
	DeleteImage(ctx context.Context, account, digest string, force bool) error
	document.Source
}

type imports interface {
	NewImport(ctx context.Context, account string) (anchore.Import, error)
	Imports(ctx context.Context, account string) ([]anchore.Import, error)
	Import(ctx context.Context, account, id string) (anchore.Import, error)
	CancelImport(ctx context.Context, account, id string) (anchore.Import, error)
	AddImportContent(ctx context.Context, account, id string, part anchore.ImportPart, r io.Reader) (anchore.ImportContent, error)
}

type archive interface {
	ArchiveSummary(ctx context.Context, account string) (anchore.ArchiveSummary, error)
	ArchivedImages(ctx context.Context, account, after string, limit int) (list []anchore.ArchivedImage, next string, err error)
	ArchivedImage(ctx context.Context, account, digest string) (anchore.ArchivedImage, error)
	// ArchiveImage keeps what is known of an image; already: it was archived before.
	ArchiveImage(ctx context.Context, account, digest string) (already bool, err error)
	DeleteArchivedImage(ctx context.Context, account, digest string) error
	RestoreImage(ctx context.Context, account, digest string, add catalog.Addition) (anchore.Image, error)
}

type events interface {
	Events(ctx context.Context, account string, f catalog.EventFilter, page, limit int) (list []anchore.Event, more bool, err error)
	Event(ctx context.Context, account, id string) (anchore.Event, error)
	DeleteEvent(ctx context.Context, account, id string) error
	DeleteEvents(ctx context.Context, account string, f catalog.EventFilter) (ids []string, err error)
}

// Intake asks the registry for an image, or takes what was handed in of it, and
// records it.
type Intake interface {
	Add(ctx context.Context, r intake.Request) (anchore.Image, error)
	Import(ctx context.Context, r intake.ImportRequest) (anchore.Image, error)
	AddRepository(ctx context.Context, r intake.RepositoryRequest) (intake.RepositoryAddition, error)
}
