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

// A Server is the fake server. Make one with [NewServer], [NewUnstarted], [Start]
// or [New]. Its methods are safe for concurrent use.
type Server struct {
	config      Config
	credentials credentials
	ledger      *ledger
	api         http.Handler // the resource API, behind the check of the token
	site        *site        // nil if the Server does not listen

	faults   faults
	mixer    mixer
	refusals refusals
	tally    tally

	// life ends with Close, and with it every request.
	life context.Context
	end  context.CancelFunc

	mu       sync.Mutex
	closed   bool
	inflight sync.WaitGroup
}

// New returns a Server that does not listen. It serves by [Server.Handler] and
// [Server.RoundTripper], and its Client uses the latter. The caller closes it.
// Errors are of type [*tokensource.ConfigError], joined by errors.Join.
func New(config Config) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	s := &Server{config: config, ledger: newLedger()}
	s.credentials.set(config.ServerKey, config.ServerSecret)
	s.life, s.end = context.WithCancel(context.Background())
	s.api = config.Resource
	if s.api == nil {
		s.api = s.resourceAPI()
	}
	return s, nil
}

// Start returns a Server that listens. It is for programs; tests use
// [NewServer]. The caller closes it.
func Start(config Config) (*Server, error) {
	s, err := New(config)
	if err != nil {
		return nil, err
	}
	if s.site, err = s.open(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// NewServer returns a Server that listens until the test is over. It fails the
// test if there is something wrong with the configuration.
func NewServer(tb testing.TB, config Config) *Server {
	tb.Helper()
	return forTest(tb, config, Start)
}

// NewUnstarted returns a Server that does not listen, for tests that run in a
// testing/synctest bubble: call it inside of the bubble. Otherwise it is as
// NewServer.
func NewUnstarted(tb testing.TB, config Config) *Server {
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

// unstartedHost is a name that never resolves (RFC 6761, section 6.4), so that
// a client of an unstarted Server that does not use its RoundTripper fails.
const unstartedHost = "passporttest.invalid"

// URL returns the base URL, without a slash at the end. That of a Server that
// does not listen is good with its RoundTripper only.
func (s *Server) URL() string {
	switch {
	case s.site == nil:
		return "https://" + unstartedHost
	case s.config.TLS:
		return "https://" + s.site.host
	default:
		return "http://" + s.site.host
	}
}

// Host returns the host and the port of the URL, as in a list of hosts that
// may receive a token.
func (s *Server) Host() string {
	if s.site == nil {
		return unstartedHost
	}
	return s.site.host
}

// Client returns an HTTP client that trusts the fake server's certificate, and knows
// nothing of tokens. Where a client certificate is demanded, clone its
// transport, which is an [*http.Transport] if the Server listens, and set one.
func (s *Server) Client() *http.Client {
	if s.site == nil {
		return &http.Client{Transport: s.RoundTripper()}
	}
	return s.site.client
}

// Issuer returns an issuer that has the tokens from the fake server, with the
// credentials as they are now: after RotateSecret it is one with a wrong secret.
func (s *Server) Issuer() *passport.S2S {
	return &passport.S2S{
		BaseURL:     s.URL(),
		Credentials: passport.StaticCredentials(s.ServerKey(), s.ServerSecret()),
		Client:      s.Client(),
		Bare:        s.config.Bare,
	}
}

// Handler returns the fake server as a handler, for a server of the caller's own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Close ends the listener, every connection and every request, those that hang
// too, and returns when all their goroutines have ended. A Config.Resource has
// to return when the context of its request is done, or Close waits for it.
// Closing twice is fine.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	if s.site != nil {
		s.site.close()
	}
	s.inflight.Wait()
}

// enter counts a request in, unless the Server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.inflight.Add(1)
	}
	return !s.closed
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		abort()
	}
	defer s.inflight.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	// By the fake server's clock, as the claims of its tokens are.
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	w.Header().Set("X-Cid", correlationID(r))
	r = r.WithContext(ctx)
	if r.URL.Path == s2sPath {
		s.serveToken(w, r)
		return
	}
	s.serveResource(w, r)
}

// correlationID returns the x-cid of the request, or a new one.
func correlationID(r *http.Request) string {
	const longest = 128
	if id := r.Header.Get("X-Cid"); id != "" && len(id) <= longest {
		return id
	}
	return newUUID()
}

// now is the time by the fake server's clock.
func (s *Server) now() time.Time { return time.Now().Add(s.config.ClockSkew) }

// pause waits for d. If the request ends before, so does its handler.
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

// abort ends a handler without an answer, or with half of one.
func abort() { panic(http.ErrAbortHandler) }
