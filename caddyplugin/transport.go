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

	"github.com/pismoauth/pismoauth/internal/requesttarget"
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
// Active health checks are sent without a token, unless `health_account` says
// for whom. What is no fault of the upstream's passes: that it refuses a check
// without a token, or that there is no token. Health checks never keep an
// account from its token.
//
// Where nothing but the transport knows that the platform is Pismo, a Caddyfile
// is:
//
//	reverse_proxy https://sandbox.pismolabs.io {
//		transport pismo {
//			account organization
//		}
//	}
//
// In most Caddyfiles the directive `pismo_proxy` writes all of it, see the module
// `http.handlers.pismo_auth`.
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

	// For whom active health checks are sent: an account's id, the word
	// `organization`, or the word `off` for health checks without a token.
	// Default: `off`.
	HealthAccount string `json:"health_account,omitempty"`

	// How failures are answered that are ours, and not the upstream's. Empty
	// for problem details; `handle` leaves them to the routes that handle errors
	// (`handle_errors`).
	Errors string `json:"errors,omitempty"`

	client     *lease
	account    accountOf
	base       baseTransport
	authorized *transport.Transport
	health     healthChecks
	ownHost    bool // The configuration sets the Host of requests.
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
	t.client = client
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
	t.account.exactIn(ctx)
	if t.health, err = newHealthChecks(t.HealthAccount); err != nil {
		return err
	}
	if err := checkErrors(t.Errors); err != nil {
		return err
	}
	hosts, err := t.narrowed()
	if err != nil {
		return err
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	connections, err := t.connections()
	if err != nil {
		return err
	}
	t.base = newBase(connections)
	t.authorized, err = transport.New(transport.Config{
		Source:        t.client.source,
		Hosts:         hosts,
		Base:          t.base,
		Hooks:         t.client.metrics.telemetry.Transport(),
		MaxAttempts:   1, // reverse_proxy tries again as it is told to.
		MaxReplayBody: t.MaxReplayBody,
	})
	if err != nil {
		return faultsOf(err)
	}
	return t.provisionProxy(ctx)
}

// narrowed returns the hosts that may receive a token.
func (t *Transport) narrowed() ([]string, error) {
	if len(t.Hosts) == 0 {
		return t.client.hosts, nil
	}
	for _, host := range t.Hosts {
		if !slices.Contains(t.client.hosts, host) {
			return nil, &fault{"hosts", fmt.Errorf("%q is none of the client's hosts; a transport may only leave out some of them", host)}
		}
	}
	return t.Hosts, nil
}

// connections returns what requests go out over. They show the client's
// certificate, unless the transport has one of its own.
func (t *Transport) connections() (http.RoundTripper, error) {
	certificate := t.client.certificate
	if certificate == nil || t.TLS == nil || t.TLS.ClientCertificateFile != "" || t.TLS.ClientCertificateAutomate != "" {
		return t.HTTPTransport, nil
	}
	if slices.Equal(t.Versions, []string{"3"}) {
		return nil, &fault{"versions", errors.New("HTTP/3 cannot have the client's certificate; give it with tls_client_auth, or use versions 1.1 2")}
	}
	if t.Transport.TLSClientConfig == nil {
		t.Transport.TLSClientConfig = new(tls.Config)
	}
	// For handshakes that HTTPTransport does itself.
	t.Transport.TLSClientConfig.GetClientCertificate = certificate.GetClientCertificate
	return certificate.RoundTripper(t.Transport), nil
}

// Cleanup closes the connections that are idle.
func (t *Transport) Cleanup() error {
	if t.authorized != nil {
		t.base.CloseIdleConnections()
	}
	return t.HTTPTransport.Cleanup()
}

// RoundTrip sends a request with the token of its account. What fails for a
// reason of ours is a response, unless the client has gone; errors are those of
// the transport beneath.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.health.claims(req) {
		return t.check(req)
	}
	in := inboundOf(req.Context())
	resp, err := t.send(req, in)
	if err == nil && unhealed(resp) {
		_ = resp.Body.Close() // Nobody is to see it.
		t.client.report.refused()
		resp, err = nil, middleware.ErrUnhealed
	}
	in.failure = err
	switch {
	case err == nil:
		resp.Request = req
		sendHeadAtOnce(resp)
		return resp, nil
	case gone(req.Context()) && !errors.Is(err, errBody): // A server that waits no longer for a body has gone, too.
		return nil, context.Canceled // As reverse_proxy expects it, whatever the transport beneath makes of it.
	case !ours(err):
		return nil, err
	default:
		return t.answer(req, err), nil
	}
}

// sendHeadAtOnce has reverse_proxy send the head of a 401 before its body, as it
// does with responses of an unknown length. A 401 whose body stalls has been held
// up by the transport already. The header Content-Length stays.
func sendHeadAtOnce(resp *http.Response) {
	if resp.StatusCode == http.StatusUnauthorized && resp.ContentLength > 0 {
		resp.ContentLength = -1
	}
}

// gone reports whether the client of a request has left.
func gone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// send sends a request with the token of its account.
func (t *Transport) send(req *http.Request, in *inbound) (*http.Response, error) {
	if err := unfit(req); err != nil {
		return nil, err
	}
	switch {
	case req.Method == http.MethodConnect: // reverse_proxy makes a WebSocket's a GET.
		return nil, middleware.ErrMethodNotProxied
	case !requesttarget.Unambiguous(req): // There may be no pismo_auth in front.
		return nil, middleware.ErrInvalidTarget
	}
	ctx, err := t.forAccount(req.Context())
	if err != nil {
		return nil, err
	}
	out := req.WithContext(transport.ContextWithAttempts(ctx, in.attemptsOf(t)))
	var body *clientBody
	if out.Body != nil && out.Body != http.NoBody {
		body = &clientBody{ReadCloser: out.Body}
		out.Body = body
	}
	resp, err := t.authorize(out)
	switch {
	case err != nil && body.err() != nil:
		return nil, body.err()
	case errors.Is(err, transport.ErrRequestTarget):
		return nil, middleware.ErrInvalidTarget // It is the client who has written it.
	}
	return resp, err
}

// authorize sends a request, which is a copy, with a token for the account in
// its context.
func (t *Transport) authorize(out *http.Request) (*http.Response, error) {
	to := &dialed{url: *out.URL, host: out.Host}
	t.setScheme(&to.url)
	out = without(out.WithContext(context.WithValue(out.Context(), dialKey{}, to)), "Authorization")
	if err := t.pin(out, to); err != nil {
		return nil, err
	}
	return t.authorized.RoundTrip(out)
}

// answer answers a request that failed for a reason of ours.
func (t *Transport) answer(req *http.Request, err error) *http.Response {
	problem := middleware.ProblemOf(err)
	if problem.Status == http.StatusInternalServerError {
		t.client.report.unsent(upstreamOf(req.Context()), err)
	}
	resp := synthesize(problem, req)
	if t.Errors == errorsHandle {
		resp.Header.Set(failureField, t.health.mark)
	}
	return resp
}

// errOtherClient is the failure of a request that pismo_auth has authenticated
// with another client than that of the transport.
var errOtherClient = tokensource.NewError(tokensource.ErrMisconfigured,
	errors.New("pismo_auth and the transport name two clients"))

// forAccount returns a context with the account that a request is for: that of
// pismo_auth, or the transport's own.
func (t *Transport) forAccount(ctx context.Context) (context.Context, error) {
	if authenticated, ok := ctx.Value(clientKey{}).(*sharedClient); ok && authenticated != t.client.sharedClient {
		return nil, errOtherClient
	}
	_, known := tokensource.AccountFromContext(ctx)
	switch {
	case !known && ctx.Value(caddyhttp.VarsCtxKey) == nil:
		return nil, transport.ErrNoAccount // It is no client's, and no health check.
	case !t.account.known():
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
