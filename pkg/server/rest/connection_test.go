package rest

import (
	"net/http"
	"testing"
)

func TestHTTPServerHasLimits(t *testing.T) {
	srv := HTTPServer(http.NotFoundHandler(), nil)
	if srv.ReadHeaderTimeout <= 0 || srv.ReadTimeout <= 0 || srv.WriteTimeout <= 0 || srv.IdleTimeout <= 0 || srv.MaxHeaderBytes <= 0 || srv.ErrorLog == nil {
		t.Errorf("HTTPServer() = %+v, want every limit set", srv)
	}
}
