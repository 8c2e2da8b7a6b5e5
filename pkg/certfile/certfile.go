// Package certfile reads PEM files with certificates and keys. The configuration is
// checked with what later uses the files, so that both find the same.
//
// Its errors are what is wrong with a file without its name, to stand after it:
// "cannot be read: no such file or directory".
package certfile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFile is the most, in bytes, that is read of a file. The certificates that
// systems trust come to 300 KiB.
const maxFile = 4 << 20

// Read returns a file's content. Something else than a regular file, which may be
// endless, is an error.
func Read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("cannot be read: it is not a regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return data, nil
}

// unreadable leaves the name out, which stands before.
func unreadable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// Pool returns the certificates of a file and those of base, which it does not
// change. nil is the system's; a system whose certificates cannot be read trusts the
// file alone.
func Pool(base *x509.CertPool, file string) (*x509.CertPool, error) {
	data, err := Read(file)
	if err != nil {
		return nil, err
	}
	var pool *x509.CertPool
	if base != nil {
		pool = base.Clone()
	} else if pool, err = x509.SystemCertPool(); err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// Pair returns the certificate chain of one file with the private key of another.
// The error is about the key's file; it names the certificate's where that is at
// fault.
func Pair(cert, key string) (tls.Certificate, error) {
	chain, err := Read(cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("is a key whose certificate %s %w", cert, err)
	}
	secret, err := Read(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("is not the key of %s: %s", cert, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return pair, nil
}
