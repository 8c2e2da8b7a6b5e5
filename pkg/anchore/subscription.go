package anchore

import (
	"crypto/md5" // #nosec: an identifier that the original's users have stored, not a signature
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// SubscriptionType is what a subscription asks for.
type SubscriptionType string

const (
	TagUpdate      SubscriptionType = "tag_update"      // the tag names another digest
	PolicyEval     SubscriptionType = "policy_eval"     // the tag's policy status flipped
	VulnUpdate     SubscriptionType = "vuln_update"     // the tag's list of vulnerabilities changed
	AnalysisUpdate SubscriptionType = "analysis_update" // an image of the tag was analyzed
	RepoUpdate     SubscriptionType = "repo_update"     // watch a repository for new tags; never notifies
)

// SubscriptionTypes returns all types, in alphabetical order.
func SubscriptionTypes() []SubscriptionType {
	return []SubscriptionType{AnalysisUpdate, PolicyEval, RepoUpdate, TagUpdate, VulnUpdate}
}

// TagSubscriptionTypes returns the types whose key is a tag, in alphabetical
// order: those that adding an image creates.
func TagSubscriptionTypes() []SubscriptionType {
	return []SubscriptionType{AnalysisUpdate, PolicyEval, TagUpdate, VulnUpdate}
}

// ParseSubscriptionType reads a type. Errors: Invalid, naming the allowed ones.
func ParseSubscriptionType(s string) (SubscriptionType, error) {
	if t := SubscriptionType(s); slices.Contains(SubscriptionTypes(), t) {
		return t, nil
	}
	names := make([]string, 0, 5)
	for _, t := range SubscriptionTypes() {
		names = append(names, string(t))
	}
	return "", E(Invalid, "anchore.ParseSubscriptionType", "%s is not a supported subscription type; use one of %s", s, strings.Join(names, ", "))
}

// Subscription is an account's wish to be told about a tag, or to watch a
// repository. It belongs to (account, type, key), never to an image, and outlives
// every image that the tag has named.
type Subscription struct {
	Account   string // the account's name
	Key       string // FullTag, or RepositoryName for repo_update
	Type      SubscriptionType
	Active    bool
	Value     string // a JSON document, or "" for none
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ID is SubscriptionID of s.
func (s Subscription) ID() string { return SubscriptionID(s.Account, s.Key, s.Type) }

// SubscriptionID is the original's formula, so that ids its users have stored
// stay valid: the MD5 of account, key and type joined by "+", in hexadecimal.
func SubscriptionID(account, key string, t SubscriptionType) string {
	sum := md5.Sum([]byte(account + "+" + key + "+" + string(t)))
	return hex.EncodeToString(sum[:])
}

// SubscriptionAliasID is the id that the original gave to the short Docker Hub
// form of the key (docker.io/alpine:latest), and whether the key has one.
func SubscriptionAliasID(account, key string, t SubscriptionType) (string, bool) {
	ref, err := parseName(key)
	if err != nil {
		return "", false
	}
	short, ok := ref.HubShortForm()
	if !ok {
		return "", false
	}
	return SubscriptionID(account, short, t), true
}

// ParseSubscriptionKey normalises a key of the given type as the reference of an
// image is: "ubuntu", "docker.io/ubuntu" and "docker.io/library/ubuntu:latest"
// are one key. Errors: Invalid, also for a digest: a subscription follows a tag.
func ParseSubscriptionKey(t SubscriptionType, key string) (string, error) {
	const op = "anchore.ParseSubscriptionKey"
	if t == RepoUpdate {
		ref, err := ParseRepository(key)
		if err != nil {
			return "", err
		}
		return ref.RepositoryName(), nil
	}
	ref, err := ParseReference(key)
	if err != nil {
		return "", err
	}
	if ref.Digest != "" {
		return "", E(Invalid, op, "%q names a digest; a subscription follows a tag, e.g. %q", key, Reference{Registry: ref.Registry, Repository: ref.Repository, Tag: DefaultTag}.FullTag())
	}
	return ref.FullTag(), nil
}

// MaxSubscriptionValue is how many bytes the value of a subscription may have.
const MaxSubscriptionValue = 64 << 10

// ParseSubscriptionValue checks the value of a subscription: empty, or a JSON
// object; for policy_eval and vuln_update its "digests" is a list of digests, for
// repo_update it is as ParseRepositoryWatch reads it. It has MaxSubscriptionValue at most.
// The text is kept as it is. Errors: Invalid.
func ParseSubscriptionValue(t SubscriptionType, value string) (string, error) {
	const op = "anchore.ParseSubscriptionValue"
	if value == "" {
		return "", nil
	}
	if len(value) > MaxSubscriptionValue {
		return "", E(Invalid, op, "subscription_value may have %d bytes, this one has %d", MaxSubscriptionValue, len(value))
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &doc); err != nil {
		return "", E(Invalid, op, "subscription_value must be a JSON object in a string, or null; got %.80q", value).Because(err)
	}
	if t == RepoUpdate {
		_, err := ParseRepositoryWatch(value)
		return value, err
	}
	raw, ok := doc["digests"]
	if !ok || t != PolicyEval && t != VulnUpdate {
		return value, nil
	}
	var digests []string
	if err := json.Unmarshal(raw, &digests); err != nil {
		return "", E(Invalid, op, `subscription_value: "digests" must be a list of digests`).Because(err)
	}
	for _, d := range digests {
		if !IsDigest(d) {
			return "", E(Invalid, op, `subscription_value: %q in "digests" is not a digest (sha256:…)`, d)
		}
	}
	return value, nil
}
