package engine

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/config"
)

// at is a listener that says it listens on an address.
type at struct {
	net.Listener
	addr *net.TCPAddr
}

func (l at) Addr() net.Addr { return l.addr }

func TestAddress(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, ip, public string
		tls              bool
		url, base        string
		warn             bool
	}{
		{"loopback", "127.0.0.1", "", false, "http://127.0.0.1:8228", "http://127.0.0.1:8228", false},
		{"loopback of version 6", "::1", "", false, "http://[::1]:8228", "http://[::1]:8228", false},
		{"every address", "0.0.0.0", "", false, "http://" + host + ":8228", "http://" + host + ":8228", true},
		{"every address of version 6", "::", "", true, "https://" + host + ":8228", "https://" + host + ":8228", false},
		{"one address", "192.0.2.1", "https://engine.test", false, "http://192.0.2.1:8228", "https://engine.test", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			e := &Engine{
				cfg: &config.Config{PublicURL: tt.public}, log: slog.New(slog.NewTextHandler(&log, nil)),
				listener: at{addr: &net.TCPAddr{IP: net.ParseIP(tt.ip), Port: 8228}},
			}
			if tt.tls {
				e.cfg.TLS = config.TLS{Cert: "cert", Key: "key"}
			}
			if got := e.URL(); got != tt.url {
				t.Errorf("URL() = %s, want %s", got, tt.url)
			}
			if got := e.baseURL(); got != tt.base {
				t.Errorf("baseURL() = %s, want %s", got, tt.base)
			}
			e.warnOfClearText()
			if warned := strings.Count(log.String(), "level=WARN") == 1 && strings.Contains(log.String(), "passwords travel in clear"); warned != tt.warn {
				t.Errorf("warns %t, want %t; the log:\n%s", warned, tt.warn, log.String())
			}
		})
	}
}
