package certfile

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("whole"), make([]byte, maxFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("large"), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil { // opening it would wait for a writer
		t.Fatal(err)
	}
	if err := os.Symlink("whole", at("link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"whole": "", "link": "", "large": "is larger than 4194304 bytes", "none": "cannot be read: no such file or directory",
		"pipe": "cannot be read: it is not a regular file", ".": "cannot be read: it is not a regular file",
	} {
		got := ""
		if _, err := Read(at(name)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("Read(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestPool(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	base := x509.NewCertPool()
	for name, from := range map[string]*x509.CertPool{"the system's": nil, "another": base} {
		pool, err := Pool(from, file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Certificate().Verify(x509.VerifyOptions{Roots: pool}); err != nil {
			t.Errorf("beside %s: %v", name, err)
		}
	}
	if !base.Equal(x509.NewCertPool()) {
		t.Error("Pool changed the pool that it was given")
	}
	if _, err := Pair(file+"x", file); err == nil || !strings.Contains(err.Error(), file+"x cannot be read") {
		t.Errorf("Pair without a certificate: %v", err)
	}
}
