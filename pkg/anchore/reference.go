package anchore

import (
	"regexp"
	"strconv"
	"strings"
)

// DefaultRegistry is the registry of a reference that names none.
const DefaultRegistry = "docker.io"

// DefaultTag is the tag of a reference that names neither tag nor digest.
const DefaultTag = "latest"

// The grammar of the OCI distribution specification ("Pulling manifests") with
// the length limits that Docker's registries enforce.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	hostPattern       = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*\.?|\[[a-f0-9:.]+(?:%25[a-z0-9]+)?\])(?::[0-9]{1,5})?$`)
)

// maxRepository is the longest repository path with its registry, in bytes, that
// Docker's tools accept.
const maxRepository = 255

// Reference names an image in a registry, fully qualified. Tag and Digest may
// both be empty (a repository), or both be set (a tag pinned to a digest).
type Reference struct {
	Registry   string // host, with its port if it has one: "docker.io", "localhost:5000"
	Repository string // path: "library/alpine"
	Tag        string // "latest", or "" if none
	Digest     string // "sha256:…", or "" if none
}

// ParseReference reads a reference the way Docker's tools do: a first component
// with a dot, a colon, or the name localhost is the registry, else it is
// docker.io; a repository of one component on docker.io is in library/; without
// tag and digest the tag is latest. Host names fold to lower case and Docker
// Hub's other names to docker.io. Errors: Invalid.
func ParseReference(s string) (Reference, error) {
	ref, err := parseName(s)
	if err != nil {
		return Reference{}, err
	}
	if ref.Tag == "" && ref.Digest == "" {
		ref.Tag = DefaultTag
	}
	return ref, nil
}

// ParseRepository reads "registry/repository", normalised as in ParseReference.
// A tag or digest is an error: a repository has neither. Errors: Invalid.
func ParseRepository(s string) (Reference, error) {
	ref, err := parseName(s)
	if err != nil {
		return Reference{}, err
	}
	if ref.Tag != "" || ref.Digest != "" {
		return Reference{}, E(Invalid, "anchore.ParseRepository", "%q names a tag or digest; give the repository alone, e.g. %q", s, ref.RepositoryName())
	}
	return ref, nil
}

func parseName(s string) (Reference, error) {
	const op = "anchore.ParseReference"
	in := strings.TrimSpace(s)
	if in == "" {
		return Reference{}, E(Invalid, op, "the image reference is empty; give one such as docker.io/library/alpine:latest")
	}
	if IsDigest(in) || IsImageID(in) {
		return Reference{}, E(Invalid, op, "%q is a digest or image id without a repository; give one such as docker.io/library/alpine@sha256:…", s)
	}
	var ref Reference
	rest := in
	if name, digest, ok := strings.Cut(rest, "@"); ok {
		if !IsDigest(digest) {
			return Reference{}, E(Invalid, op, "%q: %q is not a digest; expected sha256: and 64 lower-case hexadecimal digits", s, digest)
		}
		rest, ref.Digest = name, digest
	}
	if first, path, ok := strings.Cut(rest, "/"); ok && isRegistry(first) {
		ref.Registry, rest = strings.ToLower(first), path
		if !isHost(ref.Registry) {
			return Reference{}, E(Invalid, op, "%q: %q is not a registry host; expected a name or address with an optional port from 1 to 65535", s, first)
		}
	}
	ref.Registry = canonicalRegistry(ref.Registry)
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		rest, ref.Tag = rest[:i], rest[i+1:]
		if !tagPattern.MatchString(ref.Tag) {
			return Reference{}, E(Invalid, op, "%q: %q is not a tag; %s", s, ref.Tag, expectedTag)
		}
	}
	if ref.Registry == DefaultRegistry && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	ref.Repository = rest
	if !repositoryPattern.MatchString(rest) {
		return Reference{}, E(Invalid, op, "%q: %q is not a repository; expected lower-case letters, digits and single '.', '_', '-' between them, parts joined by '/'", s, rest)
	}
	if len(ref.RepositoryName()) > maxRepository {
		return Reference{}, E(Invalid, op, "the repository of %.40q… is longer than %d characters", s, maxRepository)
	}
	return ref, nil
}

const expectedTag = "expected up to 128 letters, digits, '_', '.' or '-', not starting with '.' or '-'"

// CheckTag checks a tag that stands alone. Errors: Invalid.
func CheckTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return E(Invalid, "anchore.CheckTag", "%q is not a tag; %s", tag, expectedTag)
	}
	return nil
}

func isRegistry(first string) bool {
	return strings.ContainsAny(first, ".:") || strings.EqualFold(first, "localhost") || first == "localbuild"
}

// isHost reports whether s, in lower case, is a host whose port, if it has one,
// exists.
func isHost(s string) bool {
	if !hostPattern.MatchString(s) {
		return false
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") { // the colons of an address
		return true
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	return err == nil && port > 0
}

func canonicalRegistry(host string) string {
	switch host {
	case "", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return DefaultRegistry
	}
	return host
}

// String formats r so that ParseReference reads it back as it is.
func (r Reference) String() string {
	s := r.RepositoryName()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// RepositoryName is "registry/repository".
func (r Reference) RepositoryName() string { return r.Registry + "/" + r.Repository }

// FullTag is "registry/repository:tag", the key of a tag's subscriptions.
func (r Reference) FullTag() string { return r.RepositoryName() + ":" + r.Tag }

// FullDigest is "registry/repository@digest" for the given digest.
func (r Reference) FullDigest(digest string) string { return r.RepositoryName() + "@" + digest }

// HubShortForm is the form without "library/" that Docker Hub's official images
// are also written in (docker.io/alpine:latest), and whether r has one.
func (r Reference) HubShortForm() (string, bool) {
	short, ok := strings.CutPrefix(r.Repository, "library/")
	if r.Registry != DefaultRegistry || !ok || strings.Contains(short, "/") {
		return "", false
	}
	r.Repository = short
	return r.String(), true
}

// IsDigest reports whether s is a sha256 or sha512 digest, "sha256:…".
func IsDigest(s string) bool { // asked at each look at a tag
	algorithm, digits, _ := strings.Cut(s, ":")
	return algorithm == "sha256" && isHex(digits, 64) || algorithm == "sha512" && isHex(digits, 128)
}

// isHex reports whether s is n hexadecimal digits in lower case.
func isHex(s string, n int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == n
}

// IsImageID reports whether s is an image id: the 64 hexadecimal digits of the
// digest of an image's configuration.
func IsImageID(s string) bool { return isHex(s, 64) }
