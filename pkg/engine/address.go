package engine

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/certfile"
)

// listen binds the address of the REST API.
func (e *Engine) listen() (err error) {
	if e.listener, err = net.Listen("tcp", e.cfg.Listen); err != nil {
		return fmt.Errorf("the REST API cannot listen on %s (key listen): %w", e.cfg.Listen, err)
	}
	e.onClose("listener", func() error {
		if err := e.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if e.cfg.TLS.Cert == "" {
		return nil
	}
	cert, err := certfile.Pair(e.cfg.TLS.Cert, e.cfg.TLS.Key)
	if err != nil {
		return anchore.E(anchore.Invalid, "engine.listen", "the certificate of the REST API: %s %s (key tls.key)", e.cfg.TLS.Key, err)
	}
	e.listener = tls.NewListener(e.listener, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	return nil
}

// URL is where the REST API answers: the address that it listens on. An address that
// stands for all of the host's is none that others could go to; the host's name is.
func (e *Engine) URL() string {
	scheme := "http"
	if e.cfg.TLS.Cert != "" {
		scheme = "https"
	}
	addr := e.listener.Addr()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		name, err := os.Hostname()
		if err != nil {
			name = "localhost"
		}
		return scheme + "://" + net.JoinHostPort(name, strconv.Itoa(tcp.Port))
	}
	return scheme + "://" + addr.String()
}

// baseURL is where clients reach the engine.
func (e *Engine) baseURL() string { return cmp.Or(e.cfg.PublicURL, e.URL()) }

// warnOfClearText tells whoever starts an engine that others reach without TLS.
func (e *Engine) warnOfClearText() {
	tcp, ok := e.listener.Addr().(*net.TCPAddr)
	if e.cfg.TLS.Cert == "" && ok && !tcp.IP.IsLoopback() {
		e.log.Warn("the REST API is open to other hosts without TLS: user names and passwords travel in clear; set tls.cert and tls.key, or let only a proxy that ends TLS reach it",
			"listen", tcp.String())
	}
}
