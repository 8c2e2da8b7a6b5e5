package rest

import (
	"log"
	"log/slog"
	"net/http"
	"time"
)

// How long a client may take, from the first byte of its request.
const (
	requestTime = time.Minute     // to bring the request, if its body is no stream
	answerTime  = 2 * time.Minute // to take the answer
)

// HTTPServer returns an http.Server for h with the limits that a server open to
// strangers needs. Slow clients are cut off: a minute for a request, two more for
// its answer.
func HTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime + answerTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          connectionLog(logger),
	}
}

// connectionLog receives what net/http says about single connections: a client
// that speaks no TLS, a scanner. It is nothing an operator acts on.
func connectionLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}

// slowest is how many bytes a second a client must bring of a long stream.
const slowest = 256 << 10

// allowTime gives the client of a request time for a stream of so many bytes. It is
// no error if the connection has no deadlines, as in tests.
func allowTime(w http.ResponseWriter, bytes int64) {
	until := time.Now().Add(requestTime + time.Duration(bytes/slowest)*time.Second)
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(until)
	_ = connection.SetWriteDeadline(until.Add(answerTime))
}

// AllowAnswer gives the client of a request the time for its answer from now on, where
// that had to wait for others. It is no error if the connection has no deadlines.
func AllowAnswer(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
}
