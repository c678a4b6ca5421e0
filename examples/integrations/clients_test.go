// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// Debug logs of resty contain no token, because resty is above the transport.
func TestResty_SendsTokenAndLogsNone(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated, baseURL, ctx := newTransport(t, pismo), pismo.URL(), forAlice(t)

	// recipe: resty
	client := resty.New().
		SetTransport(authenticated).
		SetBaseURL(baseURL).
		SetTimeout(30 * time.Second).
		SetCookieJar(nil) // resty's own jar would share cookies between accounts.
	resp, err := client.R().SetContext(ctx).SetBody(map[string]any{"amount": 12.5}).Post("/v1/payments")
	// end
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", resp.StatusCode(), http.StatusCreated)

	var debug logged
	client.SetDebug(true).SetLogger(restyLogger{&debug})
	pismo.Revoke(alice)
	resp = must(client.R().SetContext(ctx).SetBody(`{"amount":13}`).EnableTrace().Post("/v1/payments"))(t)
	check(t, "status after a revocation", resp.StatusCode(), http.StatusCreated)
	check(t, "the debug log has the request", strings.Contains(debug.String(), "/v1/payments"), true)
	check(t, "the debug log has the token", strings.Contains(debug.String(), tokenOf(t, authenticated)), false)
	check(t, "payments", len(pismo.Deliveries()), 3) // One payment was refused.
}

type restyLogger struct{ *logged }

func (l restyLogger) Errorf(format string, v ...any) { l.printf(format, v...) }
func (l restyLogger) Warnf(format string, v ...any)  { l.printf(format, v...) }
func (l restyLogger) Debugf(format string, v ...any) { l.printf(format, v...) }

// resty's functions for an *http.Transport find another type. They log that,
// and change nothing.
func TestResty_SetCertificatesDoesNothing(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated := newTransport(t, pismo)
	for name, set := range map[string]func(*resty.Client){
		"SetCertificates":              func(client *resty.Client) { client.SetCertificates(tls.Certificate{}) },
		"SetRootCertificateFromString": func(client *resty.Client) { client.SetRootCertificateFromString("") },
		"SetTLSClientConfig":           func(client *resty.Client) { client.SetTLSClientConfig(new(tls.Config)) },
		"SetProxy":                     func(client *resty.Client) { client.SetProxy("http://proxy.example") },
	} {
		var log logged
		client := resty.New().SetLogger(restyLogger{&log}).SetTransport(authenticated)
		set(client)
		check(t, name+" logs: "+log.String(), strings.Contains(log.String(), "not an *http.Transport"), true)
		check(t, name+" leaves the transport", client.GetClient().Transport == http.RoundTripper(authenticated), true)
	}
}

// resty's own retries resend a payment that may have been executed.
func TestResty_RetriesSendPaymentsAgain(t *testing.T) {
	var payments atomic.Int32
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		payments.Add(1)
		panic(http.ErrAbortHandler) // The payment is executed, and its answer is lost.
	})})
	for retries, want := range map[int]int32{0: 1, 2: 3} {
		payments.Store(0)
		client := resty.New().SetTransport(newTransport(t, pismo)).SetRetryCount(retries).SetRetryWaitTime(time.Millisecond).SetLogger(restyLogger{new(logged)})
		_, err := client.R().SetContext(forAlice(t)).SetBody("payment").Post(pismo.URL() + "/v1/payments")
		check(t, "an error", err != nil, true)
		check(t, fmt.Sprintf("payments with %d retries", retries), payments.Load(), want)
	}
}

// Client certificates belong in the base of the transport and in the client of
// the issuer.
func TestBase_HasClientCertificates(t *testing.T) {
	certificate := clientCertificate(t)
	pismo := passporttest.NewServer(t, passporttest.Config{TLS: true, ClientCAs: certificate.authority})
	ctx, baseURL, issuer, hosts := forAlice(t), pismo.URL(), pismo.Issuer(), []string{pismo.Host()}
	roots, clientCert := pismo.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, certificate.Certificate

	// recipe: certificates
	base := transport.NewBase()
	base.TLSClientConfig = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{clientCert}}
	issuer.Client = &http.Client{Transport: base} // For token requests.
	source, err := newTokenSource(issuer)
	if err != nil {
		t.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: hosts, Base: base}) // For all other requests.
	if err != nil {
		t.Fatal(err)
	}
	client := resty.New().SetTransport(authenticated)
	// end
	t.Cleanup(base.CloseIdleConnections)
	resp := must(client.R().SetContext(ctx).Get(baseURL + "/v1/accounts/" + alice))(t)
	check(t, "status", resp.StatusCode(), http.StatusOK)
}

// A jar sends the cookies of one account with another account's requests.
// http.Client has no jar by default, but resty has one.
func TestCookieJar_MixesAccounts(t *testing.T) {
	var cookies []string
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies = append(cookies, r.Header.Get("Cookie"))
		token, _ := passporttest.TokenFromContext(r.Context())
		http.SetCookie(w, &http.Cookie{Name: "session", Value: token.Account})
	})})
	authenticated := newTransport(t, pismo)
	for name, test := range map[string]struct {
		client *http.Client
		want   string
	}{
		"http.Client":                 {&http.Client{Transport: authenticated}, ""},
		"http.Client with a jar":      {&http.Client{Transport: authenticated, Jar: must(cookiejar.New(nil))(t)}, "session=" + alice},
		"resty":                       {resty.New().SetTransport(authenticated).GetClient(), "session=" + alice},
		"resty with SetCookieJar nil": {resty.New().SetTransport(authenticated).SetCookieJar(nil).GetClient(), ""},
	} {
		cookies = nil
		for _, ctx := range []context.Context{forAlice(t), forAccount(t, "2")} {
			_ = read(t, must(test.client.Do(newRequest(ctx, t, http.MethodGet, pismo.URL(), "")))(t))
		}
		check(t, name+": cookies of another account's request", cookies[1], test.want)
	}
}

// A redirect takes no payment and no token to another host, even in a client
// that follows redirects.
func TestRedirects_GoNowhereElse(t *testing.T) {
	bodies := 0
	var back string
	elsewhere := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) > 0 || r.Header.Get("Authorization") != "" {
			bodies++
		}
		http.Redirect(w, r, back, http.StatusTemporaryRedirect)
	}))
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/chosen" {
			t.Error("the token was sent to a path that the other host chose")
		}
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})})
	back = pismo.URL() + "/v1/chosen"
	authenticated, ctx := newTransport(t, pismo), forAlice(t)
	for name, client := range map[string]*http.Client{
		"http.Client": {Transport: authenticated},
		"resty":       resty.New().SetTransport(authenticated).SetRedirectPolicy(resty.FlexibleRedirectPolicy(10)).GetClient(),
	} {
		_, err := client.Do(newRequest(ctx, t, http.MethodPost, pismo.URL()+"/v1/payments", "payment"))
		check(t, name+": the payment stays", isUnsent(err, transport.ErrRedirectedBody), true)
		_, err = client.Do(newRequest(ctx, t, http.MethodGet, pismo.URL()+"/v1/accounts/"+alice, ""))
		check(t, name+": the token does not come back", isUnsent(err, transport.ErrRedirectedBack), true)
	}
	check(t, "requests elsewhere with a body or a token", bodies, 0)

	// recipe: redirects
	client := &http.Client{
		Transport: authenticated,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // The caller gets the 3xx.
		},
	}
	// end
	resp := must(client.Do(newRequest(ctx, t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusTemporaryRedirect)
}

// The verdict on a 401 survives every layer that replaces a body.
func TestVerdictOf_SurvivesClients(t *testing.T) {
	for name, wrap := range map[string]func(*transport.Transport) func(*http.Request) (*http.Response, error){
		"http.Client with a Timeout": func(authenticated *transport.Transport) func(*http.Request) (*http.Response, error) {
			return (&http.Client{Transport: authenticated, Timeout: time.Minute}).Do
		},
		"DumpResponse": func(authenticated *transport.Transport) func(*http.Request) (*http.Response, error) {
			dumping := roundTripper(func(req *http.Request) (*http.Response, error) {
				resp, err := authenticated.RoundTrip(req)
				if err == nil {
					_, err = httputil.DumpResponse(resp, true)
				}
				return resp, err
			})
			return (&http.Client{Transport: dumping, Timeout: time.Minute}).Do
		},
		"resty": func(authenticated *transport.Transport) func(*http.Request) (*http.Response, error) {
			client := resty.New().SetTransport(authenticated).SetTimeout(time.Minute)
			return func(req *http.Request) (*http.Response, error) {
				body, _ := io.ReadAll(req.Body)
				resp, err := client.R().SetContext(req.Context()).SetBody(body).Execute(req.Method, req.URL.String())
				return resp.RawResponse, err
			}
		},
	} {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
		resp, err := wrap(newTransport(t, pismo))(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment"))
		if err != nil {
			t.Fatal(name, err)
		}

		// recipe: verdict
		if verdict, ok := transport.VerdictOf(resp); ok && verdict == transport.RequestRefused {
			err = errors.New("the platform refused the payment") // The token is valid.
		}
		// end
		check(t, name+": the payment was refused", err != nil, true)
		_ = resp.Body.Close()
	}
}

// recipe: logs
// dump logs requests and responses above the transport. The log has no token,
// but has everything in the bodies.
func dump(log *slog.Logger, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if out, err := httputil.DumpRequest(req, true); err == nil {
			log.InfoContext(req.Context(), "request", "dump", string(out))
		}
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if in, err := httputil.DumpResponse(resp, true); err == nil {
			log.InfoContext(req.Context(), "response", "dump", string(in))
		}
		return resp, nil
	})
}

// end

// A logger above the transport does not see the token. A logger below sees the
// token. A logger on the issuer's client also sees the secret.
func TestLoggers_SeeTokenBeneathOnly(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{ServerSecret: "a-secret-of-the-server"})
	var above, below, issuing bytes.Buffer
	logger := func(buffer *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(buffer, nil)) }
	issuer := pismo.Issuer()
	base := transport.NewBase()
	t.Cleanup(base.CloseIdleConnections)
	issuer.Client = &http.Client{Transport: dump(logger(&issuing), base)}
	source := must(newTokenSource(issuer))(t)
	authenticated := newTransport(t, pismo, over(dump(logger(&below), base)), func(config *transport.Config) { config.Source = source })
	client := &http.Client{Transport: dump(logger(&above), authenticated), Timeout: time.Minute}
	for range 2 {
		pismo.Revoke(alice)
		_ = read(t, must(client.Do(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t))
	}
	token := tokenOf(t, authenticated)
	check(t, "above: the request", strings.Contains(above.String(), "/v1/payments"), true)
	check(t, "above: the token", strings.Contains(above.String(), token), false)
	check(t, "above: any token", strings.Contains(above.String(), "Bearer "), false)
	check(t, "below: the token", strings.Contains(below.String(), token), true)
	check(t, "below: the secret", strings.Contains(below.String(), "a-secret-of-the-server"), false)
	check(t, "on the issuer's client: the token", strings.Contains(issuing.String(), token), true)
	check(t, "on the issuer's client: the secret", strings.Contains(issuing.String(), "a-secret-of-the-server"), true)
}

// The caller's httptrace gets every field except the token.
func TestHTTPTrace_IsNotToldOfToken(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated, ctx := newTransport(t, pismo), forAlice(t)
	client := &http.Client{Transport: authenticated}
	var fields logged

	// recipe: httptrace
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(name string, values []string) { // Not called for Authorization.
			_, _ = io.WriteString(&fields, name+": "+strings.Join(values, ", ")+"\n")
		},
	})
	// end
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		pismo.Revoke(alice)
		_ = read(t, must(client.Do(newRequest(ctx, t, method, pismo.URL()+"/v1/payments", "payment")))(t))
	}
	check(t, "the trace has a field", strings.Contains(fields.String(), "Host: "), true)
	check(t, "the trace has Authorization", strings.Contains(strings.ToLower(fields.String()), "authorization"), false)
}

// A trace that is added below the transport gets every field, including the
// token.
func TestHTTPTrace_IsToldOfTokenBeneath(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	var fields logged
	base := transport.NewBase()
	t.Cleanup(base.CloseIdleConnections)
	authenticated := newTransport(t, pismo, over(roundTripper(func(req *http.Request) (*http.Response, error) {
		return base.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			WroteHeaderField: func(name string, values []string) { fields.printf("%s: %s", name, values) },
		})))
	})))
	_ = read(t, must(authenticated.RoundTrip(newRequest(forAlice(t), t, http.MethodGet, pismo.URL(), "")))(t))
	check(t, "the trace has the token", strings.Contains(fields.String(), tokenOf(t, authenticated)), true)
}

// http.TimeoutHandler around a proxy answers 503. It prevents streaming and
// upgrades.
func TestTimeoutHandler_AnswersInTime(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-hang:
		}
	})})
	proxy, _ := newProxy(t, pismo, forAliceAlways(t))

	// recipe: timeout-handler
	handler := http.TimeoutHandler(proxy, 30*time.Second, "")
	// end
	w := httptest.NewRecorder()
	upgrade := newRequest(t.Context(), t, http.MethodGet, "/v1/events", "")
	upgrade.Header.Set("Connection", "Upgrade")
	upgrade.Header.Set("Upgrade", "websocket")
	handler.ServeHTTP(w, upgrade)
	check(t, "status of an upgrade", w.Code, http.StatusNotImplemented)

	status, _ := get(t, serve(t, http.TimeoutHandler(proxy, time.Millisecond, ""))+"/v1/slow")
	check(t, "status of a slow request", status, http.StatusServiceUnavailable)
}
