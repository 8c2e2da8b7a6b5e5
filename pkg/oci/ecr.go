package oci

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
)

// ecrHost is the form of the names of AWS's private registries: account, region
// and the partition's domain.
var ecrHost = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$`)

// ecrLogin exchanges an access key for a login: the API Amazon ECR,
// GetAuthorizationToken.
func (c *Client) ecrLogin(ctx context.Context, l *line, r request, key awsKey) (Credential, time.Duration, error) {
	parts := ecrHost.FindStringSubmatch(r.ref.Registry)
	if parts == nil {
		return Credential{}, 0, anchore.E(anchore.Invalid, r.op, "registry %s is of type awsecr, but its name is not that of an AWS registry: 123456789012.dkr.ecr.REGION.amazonaws.com", r.ref.Registry)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.ecr."+parts[1]+"."+parts[2]+"/", bytes.NewReader(body))
	if err != nil {
		return Credential{}, 0, connectionError(ctx, r, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	signAWS(req, body, key, parts[1], "ecr", time.Now())
	res, err := l.client.Do(req)
	if err != nil {
		return Credential{}, 0, connectionError(ctx, r, err)
	}
	defer drain(res)
	answer, err := readAll(ctx, r, res, maxToken)
	if err != nil {
		return Credential{}, 0, err
	}
	if res.StatusCode != http.StatusOK {
		return Credential{}, 0, ecrError(r, key, res, answer)
	}
	return readECR(r, answer)
}

// ecrError is for an answer without a login. AWS says 400 for a wrong key.
func ecrError(r request, key awsKey, res *http.Response, answer []byte) error {
	var doc struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(answer, &doc) // without it the status has to do
	if res.StatusCode == http.StatusBadRequest && doc.Type != "ThrottlingException" {
		return anchore.E(anchore.Unauthorized, r.op, "AWS does not accept the access key %q for registry %s (%.60q)", key.ID, r.ref.Registry, doc.Type).
			WithCodes(anchore.CodePermissionDenied).Because(errLogin)
	}
	res.Body = io.NopCloser(bytes.NewReader(nil))
	return statusError(r, Credential{Username: key.ID, Password: key.Secret}, res)
}

// readECR takes the login of an answer, and how long it is good for.
func readECR(r request, answer []byte) (Credential, time.Duration, error) {
	var doc struct {
		Data []struct {
			Token   string  `json:"authorizationToken"`
			Expires float64 `json:"expiresAt"` // seconds since 1970
		} `json:"authorizationData"`
	}
	useless := anchore.E(anchore.Unavailable, r.op, "AWS did not answer with a login for registry %s", r.ref.Registry).WithCodes(anchore.CodeNotAccessible)
	if err := json.Unmarshal(answer, &doc); err != nil || len(doc.Data) == 0 {
		return Credential{}, 0, useless.Because(err)
	}
	raw, err := base64.StdEncoding.DecodeString(doc.Data[0].Token)
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return Credential{}, 0, useless.Because(err)
	}
	life := time.Until(time.Unix(int64(doc.Data[0].Expires), 0))
	return Credential{Username: user, Password: anchore.Secret(password)}, min(life, 24*time.Hour), nil
}

// signAWS signs a request with an access key: AWS Signature Version 4, all headers
// that are set and the host being signed.
func signAWS(req *http.Request, body []byte, key awsKey, region, service string, now time.Time) {
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
