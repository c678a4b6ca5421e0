package caddyplugin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

func init() {
	caddy.RegisterModule(Transport{})
}

// Transport is the transport of a `reverse_proxy` to the Pismo platform: the
// transport `http`, with all its options, and the token of the account that a
// request is for. It always replaces Authorization. A token that the platform
// refuses is renewed, and the request replayed: once, however many upstreams
// are tried, and never because of a 401 that is an answer of the platform's
// business.
//
// An upstream gets a token only if TLS proves that it is one of the client's
// `hosts`: by `tls_server_name` if that is set, and else by its address. Plain
// HTTP, and TLS that proves nothing, are for loopback addresses and unix
// sockets.
//
// Requests that cannot be sent for a reason of ours are answered with problem
// details, so that `reverse_proxy` does not count them against the upstream. It
// cannot tell those from an upstream's own answers in `unhealthy_status`,
// `unhealthy_latency` and a circuit breaker: use `pismo_auth` in front, which
// answers most of them before an upstream is chosen.
//
// Active health checks are sent with the organization's token. If there is
// none, they count as passed: it is not the upstream that failed.
type Transport struct {
	*reverseproxy.HTTPTransport

	// The name of the client, as the app `pismo` has it. Default: the only
	// one there is.
	Client string `json:"client,omitempty"`

	// The account, where there is no `pismo_auth` in front: a placeholder whose
	// value is the account's id, the word `organization`, or an account's id.
	// If there is a `pismo_auth`, its account counts, and this must be the
	// same.
	Account string `json:"account,omitempty"`

	// What the value of the placeholder must match, from beginning to end.
	AccountPattern string `json:"account_pattern,omitempty"`

	// How long the body of a request may be, in bytes, to be kept in memory so
	// that it can be sent again. Others stream, and their requests are never
	// sent twice. Default: 64 KiB. Negative: no body is kept.
	MaxReplayBody int64 `json:"max_replay_body,omitempty"`

	// Those of the client's hosts that may receive a token from here. Default:
	// all.
	Hosts []string `json:"hosts,omitempty"`

	live       *live
	account    accountOf
	authorized *transport.Transport
	pass       int // the status of a health check that passes
}

// newTransport returns a Transport to be configured.
func newTransport() *Transport {
	return &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.pismo",
		New: func() caddy.Module { return newTransport() },
	}
}

// Provision finds the client, checks the options and the upstreams, and sets up
// the transport beneath.
func (t *Transport) Provision(ctx caddy.Context) error {
	client, err := clientOf(ctx, t.Client)
	if err != nil {
		return err
	}
	t.live = client
	if err := t.setUp(ctx); err != nil {
		return fmt.Errorf("client %s: %w", client.name, err)
	}
	return nil
}

func (t *Transport) setUp(ctx caddy.Context) error {
	var err error
	if t.account, err = newAccountOf(t.Account, t.AccountPattern); err != nil {
		return err
	}
	hosts, err := t.narrowed()
	if err != nil {
		return err
	}
	t.authorized, err = transport.New(transport.Config{
		Source:        t.live.source,
		Hosts:         hosts,
		Base:          newBase(t.HTTPTransport),
		Hooks:         t.live.metrics.telemetry.Transport(),
		MaxAttempts:   1,  // reverse_proxy tries again as it is told to.
		MaxReplayBody: -1, // Bodies are kept here, over all attempts.
	})
	if err != nil {
		return faultsOf(err)
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	if err := t.presentCertificate(); err != nil {
		return err
	}
	return t.checkProxy(ctx)
}

// narrowed returns the hosts that may receive a token.
func (t *Transport) narrowed() ([]string, error) {
	if len(t.Hosts) == 0 {
		return t.live.hosts, nil
	}
	for _, host := range t.Hosts {
		if !slices.Contains(t.live.hosts, host) {
			return nil, &fault{"hosts", fmt.Errorf("%q is none of the client's hosts; a transport may only leave out some of them", host)}
		}
	}
	return t.Hosts, nil
}

// presentCertificate has the upstream see the client's certificate, unless the
// transport has one of its own.
func (t *Transport) presentCertificate() error {
	certificate := t.live.certificate
	if certificate == nil || t.TLS == nil || t.TLS.ClientCertificateFile != "" || t.TLS.ClientCertificateAutomate != "" {
		return nil
	}
	if slices.Equal(t.Versions, []string{"3"}) {
		return &fault{"versions", errors.New("HTTP/3 cannot have the client's certificate; give it with tls_client_auth, or use versions 1.1 2")}
	}
	if t.Transport.TLSClientConfig == nil {
		t.Transport.TLSClientConfig = new(tls.Config)
	}
	t.Transport.TLSClientConfig.GetClientCertificate = certificate.GetClientCertificate
	return nil
}

// RoundTrip sends a request with the token of its account. What fails for a
// reason of ours is a response, unless the client has gone; errors are those of
// the transport beneath.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.send(req)
	if err == nil && unhealed(resp) {
		_ = resp.Body.Close() // Nobody is to see it.
		t.live.report.refused()
		resp, err = nil, middleware.ErrUnhealed
	}
	switch {
	case err == nil:
		if isHealthCheck(req) {
			t.live.report.checked()
		}
		resp.Request = req
		return resp, nil
	case !ours(err) || errors.Is(err, context.Canceled):
		return nil, err
	case isHealthCheck(req):
		return t.passed(req, err), nil
	default:
		problem := middleware.ProblemOf(err)
		if problem.Status == http.StatusInternalServerError {
			t.live.report.unsent(err)
		}
		return synthesize(problem, req), nil
	}
}

// send sends a request with the token of its account.
func (t *Transport) send(req *http.Request) (*http.Response, error) {
	if err := unfit(req); err != nil {
		return nil, err
	}
	if req.Method == http.MethodConnect { // reverse_proxy makes a WebSocket's a GET.
		return nil, middleware.ErrMethodNotProxied
	}
	ctx, err := t.forAccount(req.Context())
	if err != nil {
		return nil, err
	}
	inbound := inboundOf(ctx)
	to := &dialed{url: *req.URL, host: req.Host}
	t.setScheme(&to.url)
	ctx = context.WithValue(transport.ContextWithAttempts(ctx, &inbound.attempts), dialKey{}, to)
	out := req.WithContext(ctx)
	if err := inbound.keepBody(out, t.replayLimit()); err != nil {
		return nil, err
	}
	t.pin(out, *to)
	if _, ok := out.Header["Authorization"]; ok {
		out.Header = out.Header.Clone()
		out.Header.Del("Authorization")
	}
	return t.authorized.RoundTrip(out)
}

const defaultMaxReplayBody = 64 << 10

func (t *Transport) replayLimit() int64 {
	if t.MaxReplayBody == 0 {
		return defaultMaxReplayBody
	}
	return t.MaxReplayBody
}

// errOtherClient is the failure of a request that pismo_auth has authenticated
// with another client than that of the transport.
var errOtherClient = tokensource.NewError(tokensource.ErrMisconfigured,
	errors.New("pismo_auth and the transport name two clients"))

// forAccount returns a context with the account that a request is for: that of
// pismo_auth, or the transport's own.
func (t *Transport) forAccount(ctx context.Context) (context.Context, error) {
	if authenticated, ok := ctx.Value(clientKey{}).(*live); ok && authenticated != t.live {
		return nil, errOtherClient
	}
	if ctx.Value(caddyhttp.VarsCtxKey) == nil {
		return tokensource.ContextWithAccount(ctx, tokensource.Organization()), nil
	}
	if !t.account.known() {
		return ctx, nil
	}
	account, err := t.account.of(replacerOf(ctx))
	if err != nil {
		return nil, err
	}
	if before, ok := tokensource.AccountFromContext(ctx); ok && before != account {
		return nil, transport.ErrAccountConflict
	}
	return tokensource.ContextWithAccount(ctx, account), nil
}

// setScheme sets the scheme of the URL that is dialed, as reverse_proxy leaves
// it to its transport.
func (t *Transport) setScheme(dial *url.URL) { t.SetScheme(&http.Request{URL: dial}) }

// ours reports whether a request failed for a reason of ours.
func ours(err error) bool {
	var token *tokensource.Error
	var unsent transport.Unsent
	var denial middleware.Denial
	return errors.As(err, &token) || errors.As(err, &unsent) || errors.As(err, &denial) ||
		errors.Is(err, middleware.ErrUnhealed) || errors.Is(err, errBody)
}

// unhealed reports whether a response is a 401 that speaks of our token.
func unhealed(resp *http.Response) bool {
	verdict, ok := transport.VerdictOf(resp)
	return ok && verdict == transport.TokenRefused
}

// Interface guards.
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)
