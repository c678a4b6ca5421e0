// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A Server is the fake server. Make a Server with [NewServer], [NewInProcess],
// [Start] or [New]. Its methods may be called concurrently.
type Server struct {
	config      Config
	credentials credentials
	openID      *openID
	tokens      *tokenStore
	api         http.Handler // the resource API, behind the check of the token
	listener    *listener    // nil if the Server does not listen

	faults    faults
	exchanger exchanger
	refusals  refusals
	requests  recorder

	// lifetime is done when Close is called, which ends every request.
	lifetime context.Context
	end      context.CancelFunc

	mu       sync.Mutex
	closed   bool
	inflight sync.WaitGroup
}

// New returns a Server that does not listen. Use it through [Server.Handler] or
// [Server.RoundTripper]; its Client uses the RoundTripper. The caller closes
// the Server. The error joins a [*tokensource.ConfigError] for each fault of
// config.
func New(config Config) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	s := &Server{config: config, tokens: newTokenStore(), openID: newOpenID(config.OpenID)}
	s.tokens.onlyNewest = config.NewTokenRevokesOld
	s.credentials.set(config.ServerKey, config.ServerSecret)
	s.lifetime, s.end = context.WithCancel(context.Background())
	s.api = config.Resource
	if s.api == nil {
		s.api = s.resourceAPI()
	}
	return s, nil
}

// Start returns a Server that listens. It is for programs; tests use
// [NewServer]. The caller closes the Server. Start returns the errors of [New],
// and the error of a Config.Addr that is in use.
func Start(config Config) (*Server, error) {
	s, err := New(config)
	if err != nil {
		return nil, err
	}
	if s.listener, err = s.listen(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// NewServer returns a Server that listens until the test ends. It fails the
// test if the configuration has a fault.
func NewServer(tb testing.TB, config Config) *Server {
	tb.Helper()
	return forTest(tb, config, Start)
}

// NewInProcess returns a Server that does not listen, for tests in a
// testing/synctest bubble. Call it in the bubble. It is never started: use its
// RoundTripper. In all other respects it is like [NewServer].
func NewInProcess(tb testing.TB, config Config) *Server {
	tb.Helper()
	return forTest(tb, config, New)
}

func forTest(tb testing.TB, config Config, start func(Config) (*Server, error)) *Server {
	tb.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	s, err := start(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// unstartedHost is a name that never resolves (RFC 6761, section 6.4). So a
// client of a Server that does not listen fails if it does not use the
// RoundTripper.
const unstartedHost = "passporttest.invalid"

// URL returns the base URL, without a slash at the end. The URL of a Server
// that does not listen works only with its RoundTripper.
func (s *Server) URL() string {
	switch {
	case s.listener == nil:
		return "https://" + unstartedHost
	case s.config.TLS:
		return "https://" + s.listener.host
	default:
		return "http://" + s.listener.host
	}
}

// Host returns the host and the port of the URL, for a list of hosts that may
// receive a token.
func (s *Server) Host() string {
	if s.listener == nil {
		return unstartedHost
	}
	return s.listener.host
}

// Client returns an HTTP client that trusts the fake server's certificate, and
// sends no tokens. If the Server listens, the client's transport is an
// [*http.Transport]: clone it to set the client certificate that
// Config.ClientCAs requires.
func (s *Server) Client() *http.Client {
	if s.listener == nil {
		return &http.Client{Transport: s.RoundTripper()}
	}
	return s.listener.client
}

// Issuer returns an issuer that gets its tokens from the fake server. It has
// the current credentials: RotateSecret makes them wrong.
func (s *Server) Issuer() *passport.S2S {
	return &passport.S2S{
		BaseURL:     s.URL(),
		Credentials: passport.StaticCredentials(s.ServerKey(), s.ServerSecret()),
		Client:      s.Client(),
		Bare:        s.config.Bare,
	}
}

// Handler returns the fake server as a handler, for a server of the caller.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Close ends the listener, every connection and every request, including those
// that hang. It returns when their goroutines have ended. A Config.Resource
// must return when the context of its request is done, because Close waits for
// it. A second Close does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	if s.listener != nil {
		s.listener.close()
	}
	s.inflight.Wait()
}

// beginRequest adds a request to those that Close waits for. It returns false
// if the Server is closed.
func (s *Server) beginRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.inflight.Add(1)
	}
	return !s.closed
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.beginRequest() {
		abort()
	}
	defer s.inflight.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.lifetime, cancel)()

	// The Date and the claims of the tokens come from the same clock.
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	w.Header().Set("X-Cid", correlationID(r))
	r = r.WithContext(ctx)
	if r.URL.Path == s2sPath || r.URL.Path == openIDPath {
		s.serveToken(w, r)
		return
	}
	s.serveResource(w, r)
}

// correlationID returns the x-cid of the request, or a new one.
func correlationID(r *http.Request) string {
	const maxLength = 128
	if id := r.Header.Get("X-Cid"); id != "" && len(id) <= maxLength {
		return id
	}
	return newUUID()
}

// now returns the time of the fake server's clock.
func (s *Server) now() time.Time { return time.Now().Add(s.config.ClockSkew) }

// pause waits for d. It aborts the handler if the request ends before.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		abort()
	}
}

// abort ends a handler without an answer, or in the middle of the answer.
func abort() { panic(http.ErrAbortHandler) }
