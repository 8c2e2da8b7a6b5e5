package oci

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// TestSignAWS compares with the signatures that AWS's own library makes of this
// request (aws-sdk-go-v2 1.44.0).
func TestSignAWS(t *testing.T) {
	for session, want := range map[anchore.Secret]string{
		"":              "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=1fd2044a304bafe76a50e1eda362bcb566c2ca0eff56e6304d993a59fcc67fc8",
		"session-token": "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=fee41efe7860b001f2ecfaf9b06dd2ccc36cc955451537b024ff5d655c99a091",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.ecr.eu-west-1.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
		key := awsKey{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Session: session}
		signAWS(req, []byte("{}"), key, "eu-west-1", "ecr", time.Date(2021, 6, 1, 12, 0, 0, 0, time.UTC))
		want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20210601/eu-west-1/ecr/aws4_request, " + want
		if got := req.Header.Get("Authorization"); got != want {
			t.Errorf("session %q: signature\n%s, want\n%s", session.Reveal(), got, want)
		}
	}
}

// FuzzReadECR: a login is made of nothing but an answer that holds one.
func FuzzReadECR(f *testing.F) {
	f.Add(`{"authorizationData":[{"authorizationToken":"QVdTOmlzc3VlZA==","expiresAt":1.6e9}]}`)
	f.Add(`{"authorizationData":[{"authorizationToken":"QVdT","expiresAt":-1e300}]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		cred, life, err := readECR(request{op: "test"}, []byte(answer))
		if err == nil && (!strings.Contains(answer, "authorizationToken") && !strings.Contains(strings.ToLower(answer), "authorizationtoken") || life > 24*time.Hour) {
			t.Errorf("%q gives user %q for %v", answer, cred.Username, life)
		}
		if err != nil && anchore.KindOf(err) != anchore.Unavailable {
			t.Errorf("%q: %v", answer, err)
		}
	})
}
