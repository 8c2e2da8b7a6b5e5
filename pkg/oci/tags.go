package oci

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/oci/answer"
)

// Limits of ListTags. The largest public repositories have some ten thousand tags.
const (
	maxTagPages = 1000
	maxTags     = 200_000
	maxTagPage  = 16 << 20 // bytes; some registries send all tags at once
)

// ListTags returns the tags of ref's repository, sorted, each once. It follows Link
// as the distribution specification says under "Content Discovery". Errors: also
// Invalid for a list without end.
func (c *Client) ListTags(ctx context.Context, account string, ref anchore.Reference) ([]string, error) {
	const op = "oci.ListTags"
	r := request{Question: answer.Question{Op: op, Ref: anchore.Reference{Registry: ref.Registry, Repository: ref.Repository}, Method: http.MethodGet, Path: "tags/list?n=1000"}, account: account, accept: "application/json"}
	var tags []string
	seen := map[string]bool{}
	for range maxTagPages {
		page, next, err := c.tagPage(ctx, r)
		if err != nil {
			return nil, err
		}
		tags = append(tags, page...)
		if next == "" {
			slices.Sort(tags)
			return slices.Compact(tags), nil
		}
		if seen[next] || len(tags) > maxTags {
			break
		}
		seen[next] = true
		r.Path = next
	}
	return nil, anchore.E(anchore.Invalid, op, "the list of tags of %s has no end, or more than %d tags", r.Ref.RepositoryName(), maxTags)
}

func (c *Client) tagPage(ctx context.Context, r request) (tags []string, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	res, err := c.do(ctx, r)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := r.Read(ctx, res, maxTagPage)
	if err != nil {
		return nil, "", err
	}
	var list struct {
		Tags []string `json:"tags"` // null for none
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, "", anchore.E(anchore.Unavailable, r.Op, "registry %s answered with no list of tags for %s", r.Ref.Registry, r.Ref.RepositoryName()).Because(err)
	}
	list.Tags = slices.DeleteFunc(list.Tags, func(t string) bool {
		ref, err := anchore.ParseReference(r.Ref.RepositoryName() + ":" + t)
		return err != nil || ref.Tag != t
	})
	target, ok := nextLink(res.Header.Values("Link"))
	if !ok {
		return list.Tags, "", nil
	}
	u, err := res.Request.URL.Parse(target)
	if err != nil || u.Host != res.Request.URL.Host || !strings.HasPrefix(u.Path, "/") {
		return nil, "", anchore.E(anchore.Unavailable, r.Op, "registry %s continues its list of tags at another place, which is not followed", r.Ref.Registry)
	}
	return list.Tags, (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String(), nil
}

// nextLink finds the target of rel="next" in Link headers (RFC 8288 §3).
func nextLink(headers []string) (string, bool) {
	for _, h := range headers {
		for {
			_, rest, ok := strings.Cut(h, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, h, _ = strings.Cut(params, ",")
			for p := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
				if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.Contains(strings.Fields(strings.Trim(strings.TrimSpace(value), `"`)), "next") && target != "" {
					return target, true
				}
			}
		}
	}
	return "", false
}
