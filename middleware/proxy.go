package middleware

import (
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// ProxyConfig is how a proxy is configured. Target, Transport and Account are
// required.
type ProxyConfig struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Target is the platform: its scheme and host, and a path that requests
	// are put below. The host must be one of the transport's.
	Target *url.URL

	// Transport sends the requests, with tokens of its own Source.
	Transport *transport.Transport

	// Account says for which account a request is.
	Account AccountFunc

	// Rewrite may change a request further, after the proxy has: r.Out goes to
	// the platform. It must not set an Authorization.
	Rewrite func(r *httputil.ProxyRequest)

	// ErrorHandler answers requests that are not passed on, or not answered.
	// Nil means [AnswerProblem].
	ErrorHandler ErrorHandler

	// Logger is told when requests begin to fail, and when they no longer do;
	// see Config.Logger.
	Logger *slog.Logger

	// ErrorLog is told of each response that broke off. Nil means that Logger
	// is, as of other failures.
	ErrorLog *log.Logger
}

// NewProxy returns a reverse proxy to the platform: for each request it finds
// the account, gets a token, and forwards the request with it and without the
// client's own Authorization. Responses are streamed; protocol upgrades,
// trailers and informational responses pass; TRACE and CONNECT do not, see
// [ErrMethodNotProxied]. Every fault in the configuration is reported.
//
// A client chooses a path below that of the target, and nothing else: a request
// whose target could be read as another path is answered 400, see
// [ErrInvalidTarget]. X-Forwarded-For, -Host and -Proto are set to what this
// program has seen. What a client claims in any X-Forwarded field, in
// Forwarded, X-Original-URL or X-Rewrite-URL is dropped, and so is another method
// in X-HTTP-Method, X-HTTP-Method-Override or X-Method-Override; also with
// underscores for hyphens. An Upgrade to HTTP or TLS, which would be a tunnel, is ignored.
//
// The platform's answers pass unchanged, also a 401 or 403 that is an answer of
// its business. Only a 401 that was due to our token, and could not be healed,
// becomes a 502: see [ErrTokenRefused].
//
// It sets no deadline. One of the request's context is kept, and answered 504;
// so is a ResponseHeaderTimeout of the transport's base.
//
// A request that has to be aborted panics with http.ErrAbortHandler, as
// httputil.ReverseProxy does. Where something in between recovers that, as
// gin.Recovery does, the client finds the status 503, or the connection closed
// in the middle of a response; it does not find a response that looks whole. An
// upgrade needs a ResponseWriter that can be hijacked, and is answered 501
// where that is not so, as in http.TimeoutHandler. Informational responses
// are left out where a wrapper hides the server's own ResponseWriter.
//
// It is an [http.Handler] for any router. With net/http, mount it behind a
// pattern with a wildcard; with chi, r.Mount("/", proxy); with gorilla/mux,
// r.PathPrefix("/").Handler(proxy). Where the router has put the account
// elsewhere than in the request's path values, use an [AccountFunc] of your
// own: chi.URLParam(r, "accountID") and mux.Vars(r)["accountID"] are one line.
func NewProxy(config ProxyConfig) (http.Handler, error) {
	config.Target = withLeadingSlash(config.Target)
	if err := config.validate(); err != nil {
		return nil, err
	}
	m, err := New(Config{
		Source:       config.Transport.Source(),
		Account:      config.Account,
		ErrorHandler: config.ErrorHandler,
		Logger:       config.Logger,
	})
	if err != nil {
		return nil, err
	}
	if config.ErrorLog == nil {
		config.ErrorLog = log.New(m.failures, "", 0)
	}
	p := &proxy{Middleware: m}
	p.forward = httputil.ReverseProxy{
		Transport:      config.Transport,
		BufferPool:     new(bufferPool),
		ErrorLog:       config.ErrorLog,
		ModifyResponse: p.checkResponse,
		ErrorHandler:   forwardError,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(config.Target)
			r.Out.URL.User = nil // A client may put one into its target.
			dropForwardingFields(r.Out)
			r.SetXForwarded()
			passTrailer(r)
			if config.Rewrite != nil {
				config.Rewrite(r)
			}
		},
	}
	return p, nil
}

// withLeadingSlash returns a copy of a URL whose path begins with a slash, if there is
// one. As url.URL.JoinPath leaves it, for one, it does not.
func withLeadingSlash(u *url.URL) *url.URL {
	if u == nil {
		return nil
	}
	copied := *u
	if u.Path != "" && u.Path[0] != '/' {
		copied.Path, copied.RawPath = "/"+u.Path, "/"+u.EscapedPath()
	}
	return &copied
}

func (c *ProxyConfig) validate() error {
	var faults []error
	fault := func(field, remedy string) {
		faults = append(faults, &tokensource.ConfigError{Field: "ProxyConfig." + field, Reason: remedy})
	}
	if c.Account == nil {
		fault("Account", "is not set; use FromContext, FromJWT, FromPath, FromHeader or FixedAccount")
	}
	if c.Transport == nil {
		fault("Transport", "is not set; use transport.New")
	}
	if c.Target == nil {
		fault("Target", "is not set; give the URL of the platform")
	}
	if c.Transport != nil {
		if _, fixed := c.Transport.Account(); fixed {
			fault("Transport", "has an account of its own; make one without Config.Account, as the proxy names the account of each request")
		}
	}
	if c.Target != nil && c.Target.Opaque != "" {
		fault("Target", "has no host; write it as https://host/path")
	} else if c.Transport != nil && c.Target != nil {
		if unsent, ok := errors.AsType[transport.UnsentError](c.Transport.Accepts(c.Target)); ok {
			fault("Target", "gets no token: "+string(unsent))
		}
	}
	return errors.Join(faults...)
}

type proxy struct {
	*Middleware
	forward httputil.ReverseProxy
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		p.answerError(w, r, ErrMethodNotProxied)
		return
	}
	out, _, err := p.Admit(r)
	if err != nil {
		p.answerError(w, r, err)
		return
	}
	dropOptions(out.Header, "Upgrade", opensTunnel)
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &inboundBody{ReadCloser: out.Body, left: out.ContentLength, trailer: r.Trailer}
	}
	p.serve(w, out)
}

// inboundBody is the body of an inbound request. Its errors say that they are of
// the client's making: without it, they would look like the platform's. A body
// that ends too early is of the program's making: a server reports it otherwise.
type inboundBody struct {
	io.ReadCloser
	left              int64       // how many bytes are to come; negative if that is not known
	trailer, outgoing http.Header // the client's, and where it goes; nil if nowhere
}

// passTrailer has the trailer of a client's request be sent. The ReverseProxy has
// copied the names, before there were values.
func passTrailer(r *httputil.ProxyRequest) {
	if body, ok := r.In.Body.(*inboundBody); ok {
		body.outgoing = r.Out.Trailer
	}
}

var errBodyRead error = &misuseError{"the request's body is shorter than its ContentLength; " +
	"what reads it before the proxy does, such as a Bind of gin or echo, has to put it back"}

func (b *inboundBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	known := b.left >= 0
	b.left -= int64(n)
	switch {
	case err == nil:
	case err != io.EOF: //nolint:errorlint // As io.Copy compares: an EOF that is wrapped is none.
		err = UnreadableBody(err)
	case known && b.left > 0:
		err = errBodyRead
	default:
		for name := range b.outgoing {
			b.outgoing[name] = b.trailer[name]
		}
	}
	return n, err
}

// bufferPool are what bodies are copied through.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer. It implements [httputil.BufferPool].
func (b *bufferPool) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back. It implements [httputil.BufferPool].
func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
