package engine

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/catalog/credential"
	"github.com/anchore/anchore-engine/pkg/certfile"
	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/oci"
	"github.com/anchore/anchore-engine/pkg/seal"
)

// openKey opens the file with the key of stored secrets, which the first start
// makes. An engine that has not the keys of what it has stored does not start. One
// whose keys do not fit says what it cannot read, and serves the rest.
func (e *Engine) openKey(ctx context.Context) (*seal.Ring, error) {
	used, err := credential.SealsInUse(ctx, e.store)
	if err != nil {
		return nil, err
	}
	ring, err := seal.Open(filepath.Join(e.cfg.DataDir, keyFile), used)
	if err != nil {
		return nil, err
	}
	lost, err := credential.Unreadable(ctx, e.store, ring)
	for _, l := range lost {
		e.log.Error("the password of a registry cannot be decrypted: the key file has another key under its name; restore it, set the password with anchore-cli registry update, or run engine key reset", "account", l.Account, "registry", l.Registry)
	}
	return ring, err
}

// RotateKey encrypts all stored secrets under a new key and removes the old one. It
// returns how many those are. The engine of the data directory must not be running.
// If it fails or is killed it can be called again, and the engine can be started.
func RotateKey(ctx context.Context, dataDir string, log *slog.Logger) (n int, err error) {
	file := filepath.Join(dataDir, keyFile)
	if _, err := os.Stat(file); err != nil {
		return 0, anchore.E(anchore.Invalid, "engine.RotateKey", "there is no key to rotate: %s does not exist; is data_dir right?", file).Because(err)
	}
	s, err := openStore(dataDir, log)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	used, err := credential.SealsInUse(ctx, s)
	if err != nil {
		return 0, err
	}
	if _, err := seal.Open(file, used); err != nil { // a clear error before anything is changed
		return 0, err
	}
	ring, err := seal.Renew(file)
	if err != nil {
		return 0, fmt.Errorf("the new key cannot be written: %w", err)
	}
	if n, err = credential.Reseal(ctx, s, ring); err != nil {
		return n, err
	}
	return n, seal.Retire(file)
}

// ResetKey drops the stored passwords that cannot be decrypted, and returns which
// those were; it makes a key if there is none. Their records stay, and say so where
// they are used. If all can be decrypted it changes nothing. confirm is given the
// passwords before anything is changed; its error ends the reset. The engine of the
// data directory must not be running. If it fails or is killed it can be called
// again.
func ResetKey(ctx context.Context, dataDir string, log *slog.Logger, confirm func([]credential.Lost) error) (lost []credential.Lost, err error) {
	path := filepath.Join(dataDir, storeFile)
	if _, err := os.Stat(path); err != nil { // it would be made
		return nil, anchore.E(anchore.Invalid, "engine.ResetKey", "there is nothing to reset: %s does not exist; is data_dir right?", path).Because(err)
	}
	s, err := openStore(dataDir, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	file := filepath.Join(dataDir, keyFile)
	ring, err := seal.Existing(file)
	if err != nil {
		return nil, err
	}
	if lost, err = credential.Unreadable(ctx, s, ring); err != nil || len(lost) == 0 {
		return nil, err
	}
	if err := confirm(lost); err != nil {
		return nil, err
	}
	if ring, err = seal.Open(file, nil); err != nil { // before the passwords go: after a crash in between it is seen what is missing
		return nil, err
	}
	_, err = credential.Drop(ctx, s, ring)
	return lost, err
}

// registryLogins are the catalog's credentials for the registry client, which says
// in return what registries make of them.
type registryLogins struct {
	catalog *catalog.Catalog
	log     *slog.Logger
}

// Credential implements oci.Credentials.
func (l registryLogins) Credential(ctx context.Context, account string, ref anchore.Reference) (oci.Credential, error) {
	r, found, err := l.catalog.RegistryFor(ctx, account, ref)
	if err != nil || !found {
		return oci.Credential{}, err
	}
	return registryCredential(r), nil
}

// LoginRefused implements oci.Logins.
func (l registryLogins) LoginRefused(ctx context.Context, account string, ref anchore.Reference, cred oci.Credential, reason string) {
	r, found, err := l.catalog.RegistryFor(ctx, account, ref)
	if err == nil && found && registryCredential(r) == cred { // else it was changed meanwhile
		var first bool
		if first, err = l.catalog.RegistryRefused(ctx, r, reason); first {
			l.log.WarnContext(ctx, "registry does not accept a credential", "account", account, "registry", r.Name, "reason", reason)
		}
	}
	l.report(ctx, account, err)
}

// LoginAccepted implements oci.Logins.
func (l registryLogins) LoginAccepted(ctx context.Context, account string, ref anchore.Reference, cred oci.Credential) {
	r, found, err := l.catalog.RegistryFor(ctx, account, ref)
	if err == nil && found && registryCredential(r) == cred {
		err = l.catalog.RegistryAccepted(ctx, r)
	}
	l.report(ctx, account, err)
}

func (l registryLogins) report(ctx context.Context, account string, err error) {
	if err != nil && ctx.Err() == nil {
		l.log.ErrorContext(ctx, "what a registry said of a login is not recorded", "account", account, "error", err)
	}
}

func registryCredential(r anchore.Registry) oci.Credential {
	c := oci.Credential{Username: r.User, Password: r.Password, Insecure: !r.Verify}
	switch {
	case r.Ambient():
		c.Kind = oci.AmbientLogin
	case r.Type == anchore.RegistryECR:
		c.Kind = oci.ECRLogin
	}
	return c
}

// verifyRegistry logs in at a registry before its credential is stored.
func (e *Engine) verifyRegistry(ctx context.Context, r anchore.Registry) error {
	return e.registry.Ping(ctx, anchore.RegistryHost(r.Name), registryCredential(r))
}

// registries is how each registry is reached, and the certificates that are trusted
// for all others (nil: the system's).
func registries(cfg *config.Config) (list map[string]oci.Registry, roots *x509.CertPool, err error) {
	if roots, err = certificates(nil, cfg.Registries.CAFile); err != nil {
		return nil, nil, err
	}
	list = map[string]oci.Registry{}
	for host, w := range cfg.Watch.Registries {
		list[host] = oci.Registry{Concurrency: w.Concurrency}
	}
	for _, host := range slices.Sorted(maps.Keys(cfg.Registries.Hosts)) {
		access, r := cfg.Registries.Hosts[host], list[host]
		r.Mirrors, r.PlainHTTP, r.SkipVerify = access.Mirrors, access.Insecure, access.Insecure
		if r.RootCAs, err = certificates(roots, access.CAFile); err != nil {
			return nil, nil, err
		}
		list[host] = r
	}
	return list, roots, nil
}

// certificates are those of base (nil: the system's) and of a PEM file; base itself
// if there is no file.
func certificates(base *x509.CertPool, file string) (*x509.CertPool, error) {
	if file == "" {
		return base, nil
	}
	pool, err := certfile.Pool(base, file)
	if err != nil {
		return nil, anchore.E(anchore.Invalid, "engine.certificates", "the certificates for registries: %s %s", file, err)
	}
	return pool, nil
}
