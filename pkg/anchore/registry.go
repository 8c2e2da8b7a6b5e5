package anchore

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
)

// RegistryType says how a login is made of a registry's user and password.
type RegistryType string

const (
	RegistryDocker RegistryType = "docker_v2" // they are the login
	RegistryECR    RegistryType = "awsecr"    // an AWS access key, exchanged for a login that expires
)

// AmbientLogin, as user or password of a registry, asks for the credentials of the
// engine's own host. The word is the original's; it is not only for AWS.
const AmbientLogin = "awsauto"

// Registry is an account's credential for a registry, or for a part of it.
type Registry struct {
	Account string
	// Name is what the credential is for: a host ("docker.io", "localhost:5000"), one
	// repository ("quay.io/team/app"), or all that begins so ("quay.io/team/*").
	Name      string
	Title     string // for people; the original's registry_name
	Type      RegistryType
	User      string
	Password  Secret
	Verify    bool      // false: its certificate is not verified, and plain HTTP is approved
	RefusedAt time.Time // when the registry first refused this login, zero if it did not
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ErrRegistryForm is the cause of the errors for a registry's name that is written
// like an address.
var ErrRegistryForm = errors.New("anchore: the name of a registry is a host, not a URL")

// ParseRegistryType reads a type; "" is docker_v2. Errors: Invalid.
func ParseRegistryType(s string) (RegistryType, error) {
	t := RegistryType(s)
	if t == "" {
		return RegistryDocker, nil
	}
	if t != RegistryDocker && t != RegistryECR {
		return "", E(Invalid, "anchore.ParseRegistryType", "input registry type not supported (supported registry_types: ['docker_v2', 'awsecr'])")
	}
	return t, nil
}

// ParseRegistryName normalises what a credential is for, as references are:
// "index.docker.io" is "docker.io", "docker.io/alpine" is "docker.io/library/alpine".
// A "*" may stand at the end, after the host: a credential is for one host. Errors:
// Invalid.
func ParseRegistryName(s string) (string, error) {
	const op = "anchore.ParseRegistryName"
	s = strings.TrimSpace(s)
	switch lower := strings.ToLower(s); {
	case s == "":
		return "", E(Invalid, op, "the registry's name is empty; give a host such as registry.example.com:5000")
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
		return "", E(Invalid, op, "input registry name must start with a hostname/ip, without URI schema (http://, https://)").Because(ErrRegistryForm)
	case strings.HasSuffix(s, "/"):
		return "", E(Invalid, op, "input registry name cannot end with trailing '/' characters").Because(ErrRegistryForm)
	case len(s) > maxRepository:
		return "", E(Invalid, op, "the registry's name %.40q… is longer than %d characters", s, maxRepository)
	}
	host, path, below := strings.Cut(s, "/")
	host = strings.ToLower(host)
	if !isRegistry(host) || !isHost(host) {
		return "", E(Invalid, op, "%q does not begin with the host of a registry, as references name it; expected e.g. registry.example.com, localhost:5000, quay.io/team/app or quay.io/team/*", s)
	}
	host = canonicalRegistry(host)
	if !below {
		return host, nil
	}
	if start, ok := strings.CutSuffix(path, "*"); ok {
		if strings.Trim(start, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != "" {
			return "", E(Invalid, op, "%q: a registry's name has lower-case letters, digits and '.', '_', '-', '/', and at most one '*', at its end", s)
		}
		return host + "/" + path, nil
	}
	ref, err := ParseRepository(host + "/" + path)
	if err != nil {
		return "", err
	}
	return ref.RepositoryName(), nil
}

// RegistryHost is the host of a registry's name.
func RegistryHost(name string) string {
	host, _, _ := strings.Cut(name, "/")
	return host
}

// forRepository reports whether the credential is for the repository of ref.
func (r Registry) forRepository(ref Reference) bool {
	if start, ok := strings.CutSuffix(r.Name, "*"); ok {
		return strings.HasPrefix(ref.RepositoryName(), start)
	}
	return r.Name == ref.Registry || r.Name == ref.RepositoryName()
}

// Ambient reports whether the credential is that of the engine's own host.
func (r Registry) Ambient() bool {
	return r.User == AmbientLogin || r.Password == AmbientLogin
}

// ForReference returns the credential of list that a repository is read with: of
// those that are for it the one with the longest name. Its order is the order of
// the result of SortRegistries.
func ForReference(list []Registry, ref Reference) (Registry, bool) {
	i := slices.IndexFunc(list, func(r Registry) bool { return r.forRepository(ref) })
	if i < 0 {
		return Registry{}, false
	}
	return list[i], true
}

// SortRegistries puts the longest names first, as ForReference wants them; of two names
// of the same length one without a star.
func SortRegistries(list []Registry) {
	slices.SortFunc(list, func(a, b Registry) int {
		return cmp.Or(cmp.Compare(len(b.Name), len(a.Name)), cmp.Compare(strings.Count(a.Name, "*"), strings.Count(b.Name, "*")), strings.Compare(a.Name, b.Name))
	})
}
