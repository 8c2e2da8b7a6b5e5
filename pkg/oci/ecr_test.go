package oci

import (
	"net/http"
	"testing"
	"time"
)

// TestSignAWS compares with the signature that AWS's own library makes of this
// request (aws-sdk-go-v2 1.44.0).
func TestSignAWS(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.ecr.eu-west-1.amazonaws.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	cred := Credential{Username: "AKIDEXAMPLE", Password: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	signAWS(req, []byte("{}"), cred, "eu-west-1", "ecr", time.Date(2021, 6, 1, 12, 0, 0, 0, time.UTC))
	want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20210601/eu-west-1/ecr/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=1fd2044a304bafe76a50e1eda362bcb566c2ca0eff56e6304d993a59fcc67fc8"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("signature\n%s, want\n%s", got, want)
	}
}
