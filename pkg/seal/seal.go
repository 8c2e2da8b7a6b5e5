// Package seal encrypts what the engine must be able to read again, such as the
// passwords of registries, under the keys of a file that only its user can read.
// A copy of the store without that file gives nothing away.
//
// The cipher is AES-256-GCM with a random nonce, which stands before the text.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store/disk"
)

const (
	keyBytes = 32
	// maxFile bounds what is read as a key file: a rotation leaves two keys at most.
	maxFile = 64 << 10
)

// Ring holds the keys of one file. The first one seals; all of them open. It may
// be used from many goroutines.
type Ring struct {
	keys []key
}

type key struct {
	id   string
	raw  []byte
	aead cipher.AEAD
}

// Open reads the key file at path. If there is none, it makes one, unless used
// names keys: then something is sealed under a key that is lost. Errors, which say
// what to do: Invalid for a file that is missing, that is no key file, that others
// may read, or that lacks a key of used; Unavailable if it cannot be read or written.
func Open(path string, used []string) (*Ring, error) {
	const op = "seal.Open"
	r, err := load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(used) > 0:
		return nil, anchore.E(anchore.Invalid, op, "the key file %s is missing, but registry passwords are encrypted under it; restore it from a backup, or, if it is lost, run engine key reset, which drops those passwords", path)
	case errors.Is(err, fs.ErrNotExist):
		if r, err = renewed(nil); err != nil {
			return nil, err
		}
		if err := r.save(path); err != nil {
			return nil, anchore.E(anchore.Unavailable, op, "the key file %s cannot be written", path).Because(err)
		}
		return r, nil
	case err != nil:
		return nil, unread(op, path, err)
	}
	for _, id := range used {
		if r.find(id) == nil {
			return nil, anchore.E(anchore.Invalid, op, "the key file %s lacks the key %.40q, under which registry passwords are encrypted; restore the file that belongs to this data directory, or, if it is lost, run engine key reset, which drops those passwords", path, id)
		}
	}
	return r, nil
}

// Existing reads the key file at path as Open does, but makes none: without one, the
// Ring has no keys, opens nothing, and must not seal.
func Existing(path string) (*Ring, error) {
	r, err := load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Ring{}, nil
	case err != nil:
		return nil, unread("seal.Existing", path, err)
	}
	return r, nil
}

// unread is the error for a key file that load does not take.
func unread(op, path string, err error) error {
	var unfit unfitError
	if errors.As(err, &unfit) {
		return anchore.E(anchore.Invalid, op, "the key file %s cannot be read: %s", path, unfit)
	}
	return anchore.E(anchore.Unavailable, op, "the key file %s cannot be read; it encrypts the passwords of registries", path).Because(err)
}

// unfitError says why a file is not taken that can be read. That does not pass.
type unfitError string

func (e unfitError) Error() string { return string(e) }

// noKeyFile is what to do with a file that is no key file.
const noKeyFile = "; restore it from a backup, or, if it is lost, move this one away and run engine key reset, which drops the passwords that are encrypted under it"

// Renew puts a new key before those of the file at path, for a rotation: seal
// everything anew under the ring that it returns, then call Retire. If a rotation
// was interrupted, it goes on with the key that was new then.
func Renew(path string) (*Ring, error) {
	r, err := load(path)
	if err != nil || len(r.keys) > 1 {
		return r, err
	}
	if r, err = renewed(r.keys); err != nil {
		return nil, err
	}
	return r, r.save(path)
}

// Retire removes all keys but the first from the file at path: nothing may be
// sealed under them any more.
func Retire(path string) error {
	r, err := load(path)
	if err != nil || len(r.keys) == 1 {
		return err
	}
	r.keys = r.keys[:1]
	return r.save(path)
}

// Seal encrypts text. about says what it belongs to: it is not part of the result,
// but only the same about opens it, so that nobody can move a sealed text elsewhere.
// It returns the id of the key as well.
func (r *Ring) Seal(text, about []byte) (id string, sealed []byte, err error) {
	k := r.keys[0]
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(text)+k.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return "", nil, err
	}
	return k.id, k.aead.Seal(nonce, nonce, text, about), nil
}

// Open decrypts what Seal made. Errors: Unavailable for a key that the file lacks,
// and for a text that was altered or belongs to something else.
func (r *Ring) Open(id string, sealed, about []byte) ([]byte, error) {
	const op = "seal.Ring.Open"
	k := r.find(id)
	if k == nil {
		return nil, anchore.E(anchore.Unavailable, op, "the key file lacks the key %.40q", id)
	}
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, anchore.E(anchore.Unavailable, op, "an encrypted text is cut off")
	}
	text, err := k.aead.Open(nil, sealed[:n], sealed[n:], about)
	if err != nil {
		return nil, anchore.E(anchore.Unavailable, op, "an encrypted text cannot be decrypted; it was altered").Because(err)
	}
	return text, nil
}

// Current is the id of the key that seals.
func (r *Ring) Current() string { return r.keys[0].id }

func (r *Ring) find(id string) *key {
	i := slices.IndexFunc(r.keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return &r.keys[i]
}

// renewed is a ring with a new key before old ones.
func renewed(old []key) (*Ring, error) {
	raw := make([]byte, keyBytes+4)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	k, err := newKey(hex.EncodeToString(raw[keyBytes:]), raw[:keyBytes])
	if err != nil {
		return nil, err
	}
	return &Ring{keys: append([]key{k}, old...)}, nil
}

func newKey(id string, raw []byte) (key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCM(block)
	return key{id: id, raw: raw, aead: aead}, err
}

// head is the first line of a key file: who finds it should know what it is.
const head = "# Keys of Anchore Engine: they encrypt the passwords of registries. Keep this file secret, and back it up.\n"

// load reads a file of lines "id base64". Errors: an unfitError for one that is not
// taken; else those of the file system.
func load(path string) (*Ring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, unfitError(fmt.Sprintf("its mode is %#o, so that others can read it; set it to 0600", info.Mode().Perm()))
	}
	if info.Size() > maxFile {
		return nil, unfitError("it is too large to be a key file" + noKeyFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(string(text))
}

var idPattern = regexp.MustCompile(`^[0-9a-f]{8}$`)

func parse(text string) (*Ring, error) {
	r := &Ring{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, _ := strings.Cut(line, " ")
		raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(raw) != keyBytes || !idPattern.MatchString(id) || r.find(id) != nil {
			return nil, unfitError("it is not a key file, or it was altered" + noKeyFile)
		}
		k, err := newKey(id, raw)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, unfitError("it holds no key" + noKeyFile)
	}
	return r, nil
}

func (r *Ring) format() []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, k := range r.keys {
		fmt.Fprintf(&b, "%s %s\n", k.id, base64.StdEncoding.EncodeToString(k.raw))
	}
	return b.Bytes()
}

// save replaces the file at once: after a crash it is the old one or the new one.
func (r *Ring) save(path string) error { return disk.Replace(path, r.format()) }
