package aws

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// Key is an access key with, for those that expire, its session token.
type Key struct {
	ID      string         `json:"AccessKeyId"`
	Secret  anchore.Secret `json:"SecretAccessKey"`
	Session anchore.Secret `json:"Token"`
}

// HostKey returns the access key of the engine's host, from where AWS's own tools
// look for it: the environment, then the agent of the container, then the instance's
// role. Errors: Unauthorized if there is none.
func (e Exchange) HostKey(ctx context.Context, q answer.Question) (Key, error) {
	key := Key{ID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: anchore.Secret(os.Getenv("AWS_SECRET_ACCESS_KEY")), Session: anchore.Secret(os.Getenv("AWS_SESSION_TOKEN"))}
	if key.ID != "" && key.Secret != "" {
		return key, nil
	}
	ctx, cancel := context.WithTimeout(ctx, hostKeyTimeout)
	defer cancel()
	var text string
	var err error
	if address := containerAddress(); address != "" {
		text, err = e.metadata(ctx, http.MethodGet, address, "Authorization", containerToken())
	} else {
		text, err = e.instanceKey(ctx)
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &key)
	}
	if err != nil || key.ID == "" {
		return Key{}, anchore.E(anchore.Unauthorized, q.Op, "the engine's host has neither docker credentials nor an AWS role for registry %s", q.Ref.Registry).WithCodes(anchore.CodePermissionDenied).Because(err)
	}
	return key, nil
}

// hostKeyTimeout is for services on the host itself; outside of AWS nobody answers.
const hostKeyTimeout = 3 * time.Second

// containerAddress is where ECS and EKS Pod Identity tell a container its key, "" if
// this is none. A full address may be that of the host or of their agents only, as
// AWS's tools have it, so that the variable cannot send the answer's reader elsewhere.
func containerAddress() string {
	if path := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		return "http://169.254.170.2" + path
	}
	full := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	u, err := url.Parse(full)
	if err != nil {
		return ""
	}
	switch h := u.Hostname(); {
	case u.Scheme == "https", h == "localhost", net.ParseIP(h).IsLoopback(), h == "169.254.170.2", h == "169.254.170.23", h == "fd00:ec2::23":
		return full
	}
	return ""
}

func containerToken() string {
	if file := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		raw, err := os.ReadFile(file)
		if err == nil {
			return strings.TrimSpace(string(raw))
		}
	}
	return os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
}

// instanceKey asks EC2's instance metadata service, version 2, for the role's key.
func (e Exchange) instanceKey(ctx context.Context) (string, error) {
	const service = "http://169.254.169.254/latest/"
	token, err := e.metadata(ctx, http.MethodPut, service+"api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
	if err != nil {
		return "", err
	}
	const header, role = "X-Aws-Ec2-Metadata-Token", service + "meta-data/iam/security-credentials/"
	name, err := e.metadata(ctx, http.MethodGet, role, header, token)
	if err != nil {
		return "", err
	}
	name, _, _ = strings.Cut(strings.TrimSpace(name), "\n")
	return e.metadata(ctx, http.MethodGet, role+url.PathEscape(name), header, token)
}

// metadata asks a service of the host.
func (e Exchange) metadata(ctx context.Context, method, address, header, value string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return "", err
	}
	if value != "" {
		req.Header.Set(header, value)
	}
	host := e.Host
	if host == nil {
		host = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	res, err := host.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Drain(res)
	if res.StatusCode != http.StatusOK {
		return "", anchore.E(anchore.Unavailable, "aws.HostKey", "%s answered with status %d", req.URL.Host, res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return string(text), err
}
