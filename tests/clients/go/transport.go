package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// transportCredentials reads the flags: without -ca everything is plain text.
func transportCredentials() (credentials.TransportCredentials, error) {
	ca := flag.String("ca", "", "a PEM file with the authority to trust")
	cert := flag.String("cert", "", "a PEM file with the client's certificate")
	key := flag.String("key", "", "a PEM file with its key")
	flag.Parse()
	if *ca == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", *ca)
	}
	config := &tls.Config{RootCAs: roots}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}
