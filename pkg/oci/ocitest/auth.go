package ocitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"
)

// allowed checks who asks, and answers 401 with the challenge if it must.
func (r *Registry) allowed(w http.ResponseWriter, req *http.Request) bool {
	switch r.cfg.Auth {
	case Basic:
		user, pass, ok := req.BasicAuth()
		if ok && user == r.cfg.User && pass == r.cfg.Password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="ocitest"`)
	case Token:
		scope := ""
		if repo := repositoryOf(req.URL.Path); repo != "" {
			scope = "repository:" + repo + ":pull"
		}
		token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		r.mu.Lock()
		g, ok := r.tokens[token]
		r.mu.Unlock()
		if ok && time.Now().Before(g.expires) && (scope == "" || strings.Contains(g.scope, scope)) {
			return true
		}
		scheme := "http"
		if r.cfg.TLS {
			scheme = "https"
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s://%s/token",service="ocitest",scope="%s"`, scheme, r.Host(), scope))
	default:
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
	return false
}

// token is the endpoint of the token flow: distribution's docs/spec/auth/token.md.
func (r *Registry) token(w http.ResponseWriter, req *http.Request) {
	if r.cfg.User != "" {
		if user, pass, ok := req.BasicAuth(); !ok || user != r.cfg.User || pass != r.cfg.Password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
	}
	life := r.cfg.TokenFor
	if life == 0 {
		life = 5 * time.Minute
	}
	r.mu.Lock()
	r.issued++
	token := fmt.Sprintf("token-%d", r.issued)
	r.tokens[token] = grant{scope: strings.Join(req.URL.Query()["scope"], " "), expires: time.Now().Add(life)}
	r.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": int(life / time.Second)})
}

// Revoke makes all tokens that were given so far worthless.
func (r *Registry) Revoke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

func repositoryOf(path string) string {
	path, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return ""
	}
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/list", "/referrers/"} {
		if i := strings.LastIndex(path, part); i > 0 {
			return path[:i]
		}
	}
	return ""
}

// certificate makes a self-signed certificate for 127.0.0.1, localhost, and
// registry.test, which a proxy may call it.
func certificate() (*tls.Config, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ocitest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost", "registry.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return conf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
