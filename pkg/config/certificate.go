package config

import "github.com/anchore/anchore-engine/pkg/certfile"

// finishFiles looks at the files of an endpoint.
func (e *Endpoint) finishFiles(l *layers, section string) {
	from := section + ".ca_file"
	if !l.viper.IsSet(from) {
		from = "webhooks.ca_file"
	}
	l.authorities(from, e.CAFile)
	switch {
	case e.ClientCert != "" && e.ClientKey != "":
		l.pair(section+".client_cert", e.ClientCert, section+".client_key", e.ClientKey)
	case e.ClientCert != "":
		l.report(section+".client_cert", false, halfClient)
	case e.ClientKey != "":
		l.report(section+".client_key", false, halfClient)
	}
}

const halfClient = "a client certificate needs both client_cert and client_key"

// authorities looks at a file of certificates, which the key name sets.
func (l *layers) authorities(name, file string) {
	if file == "" {
		return
	}
	_, err := certfile.Pool(nil, file)
	l.file(name, file, err)
}

// pair looks at a certificate and its key.
func (l *layers) pair(certName, cert, keyName, key string) {
	_, certErr := certfile.Pool(nil, cert)
	l.file(certName, cert, certErr)
	_, keyErr := certfile.Read(key)
	if certErr == nil && keyErr == nil {
		_, keyErr = certfile.Pair(cert, key)
	}
	l.file(keyName, key, keyErr)
}

// file reports what is wrong with a file.
func (l *layers) file(name, file string, err error) {
	if err != nil {
		l.reportValue(name, file, err.Error())
	}
}
