// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// wantText fails the test unless the text of err contains all parts.
func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the text does not say %q: %s", part, err)
		}
	}
}

func hostOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// The text of a network failure names the host and the failure.
func TestS2S_NetworkErrors(t *testing.T) {
	closed := listen(t)
	address := closed.Addr().String()
	_ = closed.Close()
	for name, test := range map[string]struct {
		url   string
		says  []string
		proxy string
	}{
		"connection refused": {"http://" + address, []string{address, "connecting to " + address, "refused"}, ""},
		"proxy refused":      {"https://pismo.example", []string{"pismo.example", "the proxy at " + address, "refused"}, "http://" + address},
		"proxy refuses CONNECT": {"https://pismo.example", []string{"pismo.example: a proxy refused", "407 Proxy Authentication Required"}, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusProxyAuthRequired)
		})},
		"SOCKS proxy":    {"https://pismo.example", []string{"pismo.example", "SOCKS"}, strings.Replace(rawServer(t, "\x05\xff"), "http", "socks5", 1)},
		"nothing":        {rawServer(t, ""), []string{"127.0.0.1", "closed before the end"}, ""},
		"half an answer": {rawServer(t, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"), []string{"127.0.0.1", "closed before the end"}, ""},
		"no HTTP":        {rawServer(t, "220 "+sentinel+" ESMTP\r\n"), []string{"127.0.0.1", "is not HTTP"}, ""},
		"no TLS":         {strings.Replace(serve(t, created()), "http", "https", 1), []string{"127.0.0.1", "does not speak TLS"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := issuer(test.url)
			own := &http.Transport{}
			if test.proxy != "" {
				own.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(test.proxy) }
			}
			s.Client = &http.Client{Transport: own}
			_, err := s.Issue(t.Context(), tokensource.Organization())
			wantKind(t, err, tokensource.ErrUnavailable)
			wantText(t, err, test.says...)
			wantNoSentinel(t, name, err)
		})
	}
}

func TestS2S_ResolverErrors(t *testing.T) {
	for says, fault := range map[string]net.DNSError{
		"there is no host pismo.example":                   {IsNotFound: true},
		"the name server did not answer for pismo.example": {IsTimeout: true},
		"the name server failed for pismo.example":         {Err: sentinel, Server: sentinel},
	} {
		s := issuer("https://pismo.example")
		s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
			fault.Name = "pismo.example"
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &fault}
		})}
		_, err := s.Issue(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrUnavailable)
		wantText(t, err, says)
		wantNoSentinel(t, says, err)
	}
}

// serverCertificate returns a certificate for a name, and a pool that trusts
// it.
func serverCertificate(t *testing.T, name string, notAfter time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// The text of a TLS failure names the faulty certificate and its fault.
func TestS2S_CertificateErrors(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	authorities, _ := serverCertificate(t, "authority", soon)
	clients := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(authorities.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	clients.AddCert(leaf)
	unknown := newClientCertificate(t, newPairOnDisk(t, 1)).GetClientCertificate
	for name, test := range map[string]struct {
		serverName string
		notAfter   time.Time
		stranger   bool // The client does not know the authority.
		version    uint16
		auth       tls.ClientAuthType
		present    func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
		says       string
	}{
		"expired":                      {"127.0.0.1", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), false, tls.VersionTLS13, 0, nil, "is valid from 2026-01-01 to 2026-01-02 only"},
		"unknown authority":            {"127.0.0.1", soon, true, tls.VersionTLS13, 0, nil, "signed by an unknown authority"},
		"another name":                 {"pismo.example", soon, false, tls.VersionTLS13, 0, nil, "for another host name"},
		"no client certificate":        {"127.0.0.1", soon, false, tls.VersionTLS13, tls.RequireAndVerifyClientCert, nil, "rejected the client certificate, or requires one"},
		"a wrong certificate":          {"127.0.0.1", soon, false, tls.VersionTLS13, tls.RequireAndVerifyClientCert, unknown, "rejected the client certificate"},
		"no certificate, TLS 1.2":      {"127.0.0.1", soon, false, tls.VersionTLS12, tls.RequireAndVerifyClientCert, nil, "perhaps because it requires a client certificate"},
		"a wrong certificate, TLS 1.2": {"127.0.0.1", soon, false, tls.VersionTLS12, tls.RequireAndVerifyClientCert, unknown, "rejected the client certificate"},
		"no common version":            {"127.0.0.1", soon, false, tls.VersionTLS11, 0, nil, "refused the TLS handshake (tls: protocol version not supported)"},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, roots := serverCertificate(t, test.serverName, test.notAfter)
			if test.stranger {
				roots = x509.NewCertPool()
			}
			server := httptest.NewUnstartedServer(created())
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{
				Certificates: []tls.Certificate{certificate}, ClientAuth: test.auth, ClientCAs: clients,
				MinVersion: tls.VersionTLS10, MaxVersion: test.version,
			}
			if test.version == tls.VersionTLS11 {
				server.TLS.MinVersion, server.TLS.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
			}
			server.StartTLS()
			defer server.Close()
			config := &tls.Config{RootCAs: roots, GetClientCertificate: test.present}
			if test.version == tls.VersionTLS11 {
				config.MaxVersion = tls.VersionTLS12
			}
			s := issuer(server.URL)
			s.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			_, err := s.Issue(t.Context(), tokensource.Organization())
			wantKind(t, err, tokensource.ErrUnavailable)
			wantText(t, err, hostOf(t, server.URL)+": ", test.says)
		})
	}
}

// The text of a timeout names the phase that ran out of time.
func TestS2S_TimeoutErrors(t *testing.T) {
	stuck := func(_ http.ResponseWriter, r *http.Request) { awaitDisconnect(r) }
	for name, test := range map[string]struct {
		url     string
		handler http.HandlerFunc
		dial    func(context.Context, string, string) (net.Conn, error)
		says    string
	}{
		"the dial": {"http://127.0.0.1", stuck, func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "127.0.0.1: timed out while waiting for a connection"},
		"the host": {"http://127.0.0.1", stuck, func(ctx context.Context, _, _ string) (net.Conn, error) {
			httptrace.ContextClientTrace(ctx).DNSStart(httptrace.DNSStartInfo{})
			<-ctx.Done()
			return nil, ctx.Err()
		}, "127.0.0.1: timed out while resolving the host"},
		"the address": {"http://127.0.0.1", stuck, func(ctx context.Context, _, _ string) (net.Conn, error) {
			httptrace.ContextClientTrace(ctx).ConnectStart("tcp", "192.0.2.1:443")
			<-ctx.Done()
			return nil, ctx.Err()
		}, "127.0.0.1: timed out while connecting (192.0.2.1:443)"},
		"the handshake": {"https://127.0.0.1", stuck, func(context.Context, string, string) (net.Conn, error) {
			client, _ := net.Pipe()
			return client, nil
		}, "127.0.0.1: timed out while in the TLS handshake"},
		"the answer": {"http://127.0.0.1", stuck, nil, "127.0.0.1: timed out while waiting for the answer"},
		"the body": {"http://127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_ = http.NewResponseController(w).Flush()
			awaitDisconnect(r)
		}, nil, "127.0.0.1: timed out while reading the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := issuer(test.url)
				s.Client = overPipe(t, test.handler)
				if test.dial != nil {
					s.Client.Transport.(*http.Transport).DialContext = test.dial
				}
				err := issueWithin(t, s, 5*time.Second)
				wantKind(t, err, tokensource.ErrTimeout)
				wantText(t, err, test.says)
			})
		})
	}
}

// A timeout of the client is not the deadline of the issuance. There may be
// time for another attempt.
func TestS2S_TimeoutsOfTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for says, limit := range map[string]func(*http.Transport){
			"timed out while in the TLS handshake": func(t *http.Transport) {
				t.DialContext = func(context.Context, string, string) (net.Conn, error) {
					client, _ := net.Pipe()
					return client, nil
				}
				t.TLSHandshakeTimeout = time.Second
			},
			"connecting to 192.0.2.1:443: timed out": func(t *http.Transport) {
				t.DialContext = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.ErrDeadlineExceeded}
				}
			},
		} {
			own := &http.Transport{}
			limit(own)
			s := issuer("https://127.0.0.1")
			s.Client = &http.Client{Transport: own}
			_, err := s.Issue(t.Context(), tokensource.Organization())
			wantKind(t, err, tokensource.ErrUnavailable)
			wantText(t, err, "127.0.0.1: "+says)
		}
	})
}

// Only the caller's context shows that the caller has left. A cancellation
// below the client does not.
func TestS2S_CanceledBeneath(t *testing.T) {
	for name, fail := range map[string]func(*http.Request) error{
		"by the transport": func(*http.Request) error { return context.Canceled },
		"in a chain":       func(*http.Request) error { return &net.OpError{Op: "dial", Err: context.Canceled} },
	} {
		s := issuer("https://pismo.example")
		s.Client = &http.Client{Transport: roundTripperFunc(func(r *http.Request) (*http.Response, error) { return nil, fail(r) })}
		_, err := s.Issue(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrUnavailable)
		if errors.Is(err, context.Canceled) {
			t.Errorf("%s: the error matches context.Canceled: %v", name, err)
		}
		wantText(t, err, "pismo.example: the HTTP client canceled the request")
	}
	s := issuer("https://pismo.example")
	s.Credentials.Key = func(context.Context) (tokensource.Secret, error) { return tokensource.Secret{}, context.Canceled }
	_, err := s.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
	if errors.Is(err, context.Canceled) {
		t.Errorf("a vault's cancellation matches context.Canceled: %v", err)
	}
}

// A client that authenticates token requests with the same Source would wait
// for itself. The Source reports this as a misconfiguration, not as an outage.
func TestS2S_SelfAuthenticatingClient(t *testing.T) {
	s := issuer("https://pismo.example")
	inner := tokensource.NewError(tokensource.ErrMisconfigured, nil)
	s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) { return nil, inner })}
	_, err := s.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
}
