package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/config"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/notify"
	"github.com/anchore/anchore-engine/pkg/store"
	"github.com/anchore/anchore-engine/pkg/store/bolt"
	"github.com/anchore/anchore-engine/pkg/store/dir"
	"github.com/anchore/anchore-engine/pkg/store/disk"
	"github.com/anchore/anchore-engine/pkg/watch"
)

// What the data directory holds beside the key file.
const (
	storeFile = "engine.db" // the store
	blobsDir  = "blobs"     // the documents of images
)

// openData opens the data directory. The store's lock comes first: it keeps a
// second engine out of the whole directory.
func (e *Engine) openData() (store.Store, store.Blobs, error) {
	if err := os.MkdirAll(e.cfg.DataDir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("the data directory cannot be created (key data_dir): %w", err)
	}
	s, err := openStore(e.cfg.DataDir, e.part("store"))
	if err != nil {
		return nil, nil, err
	}
	e.onClose("store", s.Close)
	blobs, err := dir.New(dir.Config{Path: filepath.Join(e.cfg.DataDir, blobsDir)})
	return s, blobs, err
}

// openStore opens the store of a data directory, or makes it at the first start, but
// never in the place of one that is lost: a file system that lost the file's content,
// or half a backup, would become an engine without accounts.
func openStore(dataDir string, log *slog.Logger) (*bolt.Store, error) {
	file := filepath.Join(dataDir, storeFile)
	if info, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		// Blobs are put only by an engine that has accounts: without any, a first start
		// was cut off before it had something to lose.
		blobs, err := fs.Glob(os.DirFS(dataDir), blobsDir+"/??/*")
		if err != nil {
			return nil, err
		}
		if len(blobs) > 0 {
			return nil, anchore.E(anchore.Invalid, "engine.openStore", "%s is missing or empty, but %s has what an engine stored: restore the whole data directory from a backup; to start anew, with no accounts and images, remove all that is in %s",
				file, filepath.Join(dataDir, blobsDir), dataDir)
		}
	}
	return bolt.Open(bolt.Config{Path: file, Logger: log})
}

// passwordFile holds the admin password that the first start made.
const passwordFile = "admin-password"

// bootstrap creates the admin account at the first start. Without a configured
// password it makes one and writes it to a file, durably, before the account exists,
// so that a crash, or a power failure, leaves nobody locked out.
func (e *Engine) bootstrap(ctx context.Context) error {
	done, err := e.catalog.Bootstrapped(ctx)
	if done || err != nil {
		return err
	}
	password := e.cfg.AdminPassword
	if password != "" {
		if err := anchore.CheckPassword(password); err != nil { // not with the configuration: later starts do not use it
			return anchore.E(anchore.Invalid, "engine.bootstrap", "the first start cannot create the user admin: default_admin_password (ANCHORE_ADMIN_PASSWORD): %s", anchore.MessageOf(err)).Because(err)
		}
	} else {
		file := filepath.Join(e.cfg.DataDir, passwordFile)
		password = anchore.Secret(rand.Text())
		if err := disk.Replace(file, []byte(password.Reveal()+"\n")); err != nil {
			return fmt.Errorf("the admin password cannot be written: %w", err)
		}
		e.log.Info("first start: the password of the user admin was made and written", "file", file)
	}
	return e.catalog.CreateAccount(ctx, anchore.Account{Name: anchore.AdminAccount, Type: anchore.AdminType, Email: e.cfg.AdminEmail}, password)
}

// webhookEndpoints are the configured endpoints in the relay's words.
func webhookEndpoints(w config.Webhooks) (endpoints []notify.Endpoint) {
	for _, c := range w.Endpoints {
		if c.RetryFor == 0 {
			c.RetryFor = -1 // once: 0 is the relay's word for its default
		}
		endpoints = append(endpoints, notify.Endpoint{
			Name: c.Name, URL: c.URL, User: c.User, Password: c.Password, BearerToken: c.BearerToken, Secret: c.Secret, Headers: c.Headers,
			Insecure: !c.SSLVerify, CAFile: c.CAFile, CertFile: c.ClientCert, KeyFile: c.ClientKey, Proxy: c.Proxy,
			MaxPerSecond: c.MaxPerSecond, Timeout: c.Timeout, RetryFor: c.RetryFor, Keys: c.Keys,
		})
	}
	return endpoints
}

// longestRetry is the longest that an endpoint, or a delivery to it, is left alone.
func (e *Engine) longestRetry() time.Duration {
	longest := 24 * time.Hour // also where nothing is tried again
	for _, c := range e.cfg.Webhooks.Endpoints {
		longest = max(longest, c.RetryFor)
	}
	return longest
}

func platforms(w config.Watch) map[string]anchore.Platform {
	list := map[string]anchore.Platform{}
	for host, r := range w.Registries {
		if r.Platform != (anchore.Platform{}) {
			list[host] = r.Platform
		}
	}
	return list
}

// hinting is the intake of the API: a tag that was added with force, or that could not
// be added, is also looked at by the watcher at once, if it is watched, which then
// shows how it is.
type hinting struct {
	*intake.Intake
	watcher *watch.Watcher
}

// Add implements the server's Intake.
func (h hinting) Add(ctx context.Context, r intake.Request) (anchore.Image, error) {
	img, err := h.Intake.Add(ctx, r)
	if err != nil || r.Force {
		h.watcher.Hint(r.Account, r.Ref)
	}
	return img, err
}
