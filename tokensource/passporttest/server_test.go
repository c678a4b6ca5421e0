// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestConfig_ReportsEveryFault(t *testing.T) {
	_, err := passporttest.Start(passporttest.Config{
		Lifetime: -1, TokenLatency: -1, TokenFormat: 7, Accounts: []string{"01"}, Addr: "0.0.0.0:0", HTTP2: true, ClientCAs: x509.NewCertPool(),
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("the error is %v, want joined errors", err)
	}
	fields := []string{"Lifetime", "Latency", "TokenFormat", "Accounts", "ClientCAs", "HTTP2", "Addr"}
	check(t, "faults", len(joined.Unwrap()), len(fields))
	for i, field := range fields {
		check(t, field, isConfigError(joined.Unwrap()[i], "Config."+field), true)
	}
}

func TestConfig_LoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "127.0.0.1", "192.0.2.1:0", "[::]:0", "localhost.example.com:0", "x"} {
		if s, err := passporttest.Start(passporttest.Config{Addr: addr}); !isConfigError(err, "Config.Addr") {
			t.Errorf("%s: the error is %v, want one of Config.Addr", addr, err)
			if err == nil {
				s.Close()
			}
		}
	}
	for _, addr := range []string{"localhost:0", "127.0.0.1:0"} {
		s := passporttest.NewServer(t, passporttest.Config{Addr: addr})
		newToken(t, s, "")
	}
}

func TestStart_AddressInUse(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	if other, err := passporttest.Start(passporttest.Config{Addr: s.Host()}); err == nil {
		other.Close()
		t.Error("two Servers listen on one address")
	}
}

func TestHost_IsThatOfTheURL(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := passporttest.NewServer(t, passporttest.Config{TLS: secure})
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		check(t, "host", u.Host, s.Host())
		check(t, "https", u.Scheme == "https", secure)
		check(t, "port", u.Port() != "", true)
		check(t, "path", u.Path, "")
	}
}

func TestTLS_OnlyItsClientTrustsIt(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{TLS: true})
	check(t, "status", get(t, s, newToken(t, s, "1"), "/v1/accounts/1"), http.StatusOK)
	untrusting := &http.Client{Transport: &http.Transport{}}
	if _, err := send(t, untrusting, newTokenRequest(t, s, "")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that does not trust the certificate got %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
		if _, err := s.Certificate().Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: the certificate is not valid: %v", name, err)
		}
	}
}

func TestHTTP2_OnlyIfAskedFor(t *testing.T) {
	for offered, want := range map[bool]int{false: 1, true: 2} {
		s := passporttest.NewServer(t, passporttest.Config{TLS: true, HTTP2: offered})
		response, err := s.Client().Do(newTokenRequest(t, s, ""))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		check(t, "status", response.StatusCode, http.StatusCreated)
		check(t, "version of HTTP", response.ProtoMajor, want)
	}
}

func TestTLS_DemandsAClientCertificate(t *testing.T) {
	authority, certificate := clientCertificate(t)
	s := passporttest.NewServer(t, passporttest.Config{TLS: true, ClientCAs: authority})
	if a, err := send(t, s.Client(), newTokenRequest(t, s, "")); err == nil {
		t.Errorf("a client without a certificate got %d", a.status)
	}
	transport := s.Client().Transport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	a, err := send(t, &http.Client{Transport: transport}, newTokenRequest(t, s, ""))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", a.status, http.StatusCreated)
}

// clientCertificate returns a self-signed certificate.
func clientCertificate(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClose_LeavesNoGoroutines(t *testing.T) {
	for name, config := range map[string]func() passporttest.Config{
		"HTTP":   zeroConfig,
		"TLS":    func() passporttest.Config { return passporttest.Config{TLS: true} },
		"HTTP/2": func() passporttest.Config { return passporttest.Config{TLS: true, HTTP2: true} },
	} {
		t.Run(name, func(t *testing.T) {
			before := serverGoroutines()
			s, err := passporttest.Start(config())
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() { get(t, s, newToken(t, s, "1"), "/v1/accounts/1") })
			}
			all.Wait()
			s.FailAlways(passporttest.Hang())
			for range 5 {
				all.Go(func() { _, _ = send(t, s.Client(), newTokenRequest(t, s, "2")) })
			}
			if err := s.Await(t.Context(), func(c passporttest.Counts) bool { return c.Accounts["2"].TokenRequests == 5 }); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s.Close()
			all.Wait()
			for serverGoroutines() > before { // A goroutine ends with a delay.
				if t.Context().Err() != nil {
					t.Fatal(stacks())
				}
				runtime.Gosched()
			}
			if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Host()); err == nil {
				conn.Close()
				t.Error("the address still accepts connections")
			}
		})
	}
}

func TestClose_WaitsForConnections(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	const lingering = "net/http.(*conn).closeWriteAndWait("
	do(t, s, newToken(t, s, "1"), http.MethodPost, "/v1/payments", strings.Repeat(" ", 2<<20)) // The answer is sent before the body is read.
	s.Close()
	check(t, "connections that linger", strings.Count(stacks(), lingering), 0)
}

// serverGoroutines returns the number of goroutines that serve connections or
// requests.
func serverGoroutines() int {
	text := stacks()
	return strings.Count(text, "net/http.(*conn).serve(") + strings.Count(text, "passporttest.(*Server).serve(") +
		strings.Count(text, "net/http.(*Server).Serve(")
}

func stacks() string {
	buffer := make([]byte, 1<<22)
	return string(buffer[:runtime.Stack(buffer, true)])
}

func TestClose_EndsService(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	s.Close()
	if a, err := send(t, s.Client(), newTokenRequest(t, s, "")); err == nil {
		t.Errorf("a closed Server answered %d", a.status)
	}
	check(t, "token requests", s.Counts().TokenRequests, 0)
}
