// Package aws makes logins at Amazon ECR, AWS's private registries, of access keys:
// of one that is given, or that of the host that we run on. Formats: the API Amazon
// ECR of 2015-09-21, Signature Version 4, and the metadata services of EC2 (version
// 2), ECS and EKS Pod Identity.
package aws

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// Doer sends requests; *http.Client is one.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// Exchange exchanges keys for logins. It keeps nothing, and is safe for concurrent
// use if its Doers are.
type Exchange struct {
	AWS       Doer          // to AWS, by way of a proxy if need be
	Host      Doer          // to the services of our own host; nil: one that uses no proxy
	Timeout   time.Duration // of one exchange
	UserAgent string
}

// Login is what a registry takes.
type Login struct {
	User     string
	Password anchore.Secret
	Life     time.Duration // how long it is good for, at most a day
}

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 64 << 10

// registryName is the form of the names of registries: account, region and the
// partition's domain.
var registryName = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$`)

// IsRegistry reports whether a registry is one that AWS has logins for.
func IsRegistry(name string) bool { return registryName.MatchString(name) }

// Login exchanges an access key for a login at the registry of q: the action
// GetAuthorizationToken. Errors: Invalid if that is none of AWS's registries,
// Unauthorized because of answer.ErrLogin if AWS does not know the key, and those of
// answer.Question.
func (e Exchange) Login(ctx context.Context, q answer.Question, key Key) (Login, error) {
	parts := registryName.FindStringSubmatch(q.Ref.Registry)
	if parts == nil {
		return Login{}, anchore.E(anchore.Invalid, q.Op, "registry %s is of type awsecr, but its name is not that of an AWS registry: 123456789012.dkr.ecr.REGION.amazonaws.com", q.Ref.Registry)
	}
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.ecr."+parts[1]+"."+parts[2]+"/", bytes.NewReader(body))
	if err != nil {
		return Login{}, q.Broken(ctx, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	req.Header.Set("User-Agent", e.UserAgent)
	sign(req, body, key, parts[1], "ecr", time.Now())
	res, err := e.AWS.Do(req)
	if err != nil {
		return Login{}, q.Broken(ctx, err)
	}
	defer answer.Drain(res)
	text, err := q.Read(ctx, res, maxAnswer)
	if err != nil {
		return Login{}, err
	}
	if res.StatusCode != http.StatusOK {
		return Login{}, refusal(q, key, res, text)
	}
	return readLogin(q, text)
}

// refusal is for an answer without a login. AWS says 400 for a wrong key.
func refusal(q answer.Question, key Key, res *http.Response, text []byte) error {
	var doc struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(text, &doc) // without it the status has to do
	if res.StatusCode == http.StatusBadRequest && doc.Type != "ThrottlingException" {
		return anchore.E(anchore.Unauthorized, q.Op, "AWS does not accept the access key %q for registry %s (%.60q)", key.ID, q.Ref.Registry, doc.Type).
			WithCodes(anchore.CodePermissionDenied).Because(answer.ErrLogin)
	}
	res.Body = io.NopCloser(bytes.NewReader(nil))
	return q.Refusal(res, key.ID)
}

// readLogin takes the login of an answer.
func readLogin(q answer.Question, text []byte) (Login, error) {
	var doc struct {
		Data []struct {
			Token   string  `json:"authorizationToken"`
			Expires float64 `json:"expiresAt"` // seconds since 1970
		} `json:"authorizationData"`
	}
	useless := anchore.E(anchore.Unavailable, q.Op, "AWS did not answer with a login for registry %s", q.Ref.Registry).WithCodes(anchore.CodeNotAccessible)
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Data) == 0 {
		return Login{}, useless.Because(err)
	}
	raw, err := base64.StdEncoding.DecodeString(doc.Data[0].Token)
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return Login{}, useless.Because(err)
	}
	life := time.Until(time.Unix(int64(doc.Data[0].Expires), 0))
	return Login{User: user, Password: anchore.Secret(password), Life: min(life, 24*time.Hour)}, nil
}

// sign signs a request with an access key: AWS Signature Version 4, all headers
// that are set and the host being signed.
func sign(req *http.Request, body []byte, key Key, region, service string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	names, headers := []string{"content-type", "host", "x-amz-date"}, ""
	if key.Session != "" {
		req.Header.Set("X-Amz-Security-Token", key.Session.Reveal())
		names = append(names, "x-amz-security-token")
	}
	names = append(names, "x-amz-target") // in alphabetical order
	for _, name := range names {
		value := req.Header.Get(name)
		if name == "host" {
			value = req.URL.Host
		}
		headers += name + ":" + strings.TrimSpace(value) + "\n"
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	canonical := strings.Join([]string{req.Method, "/", "", headers, strings.Join(names, ";"), sum(body)}, "\n")
	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	signing := []byte("AWS4" + key.Secret.Reveal())
	for part := range strings.SplitSeq(scope, "/") {
		signing = keyed(signing, part)
	}
	signature := keyed(signing, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, sum([]byte(canonical))}, "\n"))
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", key.ID, scope, strings.Join(names, ";"), signature))
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
