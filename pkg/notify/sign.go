package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// signingKey returns the key in a secret: what follows "whsec_" is base64, any
// other text is the key itself (Standard Webhooks, "Signature scheme").
func signingKey(s anchore.Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(s.Reveal(), "whsec_")
	if !ok {
		return []byte(text), nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, anchore.E(anchore.Invalid, "notify.signingKey", `a webhook secret that begins with "whsec_" must go on in base64`)
	}
	return key, nil
}

// signature returns the value of the header webhook-signature for a body sent at
// the given time.
func signature(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
