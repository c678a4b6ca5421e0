// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A router is a router with a proxy below /accounts/{accountID}/. The proxy
// gets the unchanged path.
type router func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged)

// accountOf stands for the authentication of a program. It returns the account
// of a request, or an error for a 401.
func accountOf(r *http.Request) (tokensource.Account, error) {
	if r.Header.Get("X-Test-User") != "alice" {
		return tokensource.Account{}, errors.New("no user is logged in")
	}
	return tokensource.ParseAccountID(alice)
}

// recipe: net-http-authentication
// authenticate is your own authentication, for net/http and every router that
// takes its middleware. The handlers behind it act for the account.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, err := accountOf(r)
		if err != nil {
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(tokensource.ContextWithAccount(r.Context(), account)))
	})
}

// end

// routers are the recipes that take the account from the context.
var routers = map[string]router{
	"chi": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromContext(nil))
		// recipe: chi
		router := chi.NewRouter()
		router.Use(chimiddleware.Recoverer, authenticate)
		router.Mount("/v1", proxy)
		// end
		return router, logged
	},
	"gorilla/mux": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromContext(nil))
		// recipe: gorilla
		router := mux.NewRouter()
		router.Use(authenticate)
		router.PathPrefix("/v1/").Handler(proxy)
		// end
		return router, logged
	},
	"echo": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromContext(nil))
		// recipe: echo
		router := echo.New()
		router.Use(echomiddleware.Recover(), func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				account, err := accountOf(c.Request())
				if err != nil {
					return echo.NewHTTPError(http.StatusUnauthorized, "log in").SetInternal(err)
				}
				// c.Set does not change the context of the request.
				c.SetRequest(c.Request().WithContext(tokensource.ContextWithAccount(c.Request().Context(), account)))
				return next(c)
			}
		})
		router.Any("/v1/*", echo.WrapHandler(proxy))
		// end
		return router, logged
	},
	"gin": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromContext(nil))
		// recipe: gin
		router := gin.New()
		router.Use(abortAgain, gin.Recovery(), func(c *gin.Context) {
			account, err := accountOf(c.Request)
			if err != nil {
				c.AbortWithStatus(http.StatusUnauthorized)
				return
			}
			// c.Set does not change the context of the request.
			c.Request = c.Request.WithContext(tokensource.ContextWithAccount(c.Request.Context(), account))
		})
		router.Any("/v1/*path", gin.WrapH(proxy))
		// end
		return router, logged
	},
	"beside gin": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromContext(nil))
		router := gin.Default()
		// recipe: gin-beside
		mux := http.NewServeMux()
		mux.Handle("/v1/", authenticate(proxy))
		mux.Handle("/", router)
		// end
		return mux, logged
	},
}

// recipe: gin-wrap
// wrapGin is Middleware.Wrap for gin. The handlers after a gin handler run even
// if it does not call Next: only Abort stops them.
func wrapGin(m *middleware.Middleware) gin.HandlerFunc {
	return func(c *gin.Context) {
		admitted := false
		m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			admitted, c.Request = true, r
		})).ServeHTTP(c.Writer, c.Request)
		if !admitted {
			c.Abort()
		}
	}
}

// end

// recipe: gin-abort
// abortAgain runs before gin.Recovery. It repeats the panic that aborts a
// response, because gin.Recovery ends the response normally.
func abortAgain(c *gin.Context) {
	c.Next()
	if last := c.Errors.Last(); last != nil && errors.Is(last.Err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler) // The server closes the connection.
	}
}

// end

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultWriter, gin.DefaultErrorWriter = &logged{}, &logged{}
	m.Run()
}

// A logged-in user reaches their account through each of the routers.
func TestRouters_ProxyForLoggedInUser(t *testing.T) {
	for name, router := range routers {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		handler, _ := router(t, pismo)
		url := serve(t, handler) + "/v1/accounts/" + alice
		status, _ := get(t, url)
		check(t, name+": status of an unknown user", status, http.StatusUnauthorized)
		for range 2 {
			pismo.Revoke(alice)
			req := newRequest(t.Context(), t, http.MethodGet, url, "")
			req.Header.Set("X-Test-User", "alice")
			resp := must(http.DefaultClient.Do(req))(t)
			_ = read(t, resp)
			check(t, name+": status", resp.StatusCode, http.StatusOK)
		}
		check(t, name+": accepted for alice", pismo.Counts().Accounts[alice].Accepted, 2)
	}
}

// In each router, a request that Wrap refuses reaches no handler. A request
// that Wrap admits acts for its account.
func TestRouters_WrapKeepsOthersOut(t *testing.T) {
	for name, mount := range map[string]func(m *middleware.Middleware, handler http.HandlerFunc) http.Handler{
		"chi": func(m *middleware.Middleware, handler http.HandlerFunc) http.Handler {
			router := chi.NewRouter()
			router.Use(m.Wrap)
			router.Get("/pay", handler)
			return router
		},
		"gorilla/mux": func(m *middleware.Middleware, handler http.HandlerFunc) http.Handler {
			router := mux.NewRouter()
			router.Use(m.Wrap)
			router.Handle("/pay", handler)
			return router
		},
		"echo": func(m *middleware.Middleware, handler http.HandlerFunc) http.Handler {
			router := echo.New()
			// recipe: echo-wrap
			router.Use(echo.WrapMiddleware(m.Wrap))
			// end
			router.GET("/pay", echo.WrapHandler(handler))
			return router
		},
		"gin": func(m *middleware.Middleware, handler http.HandlerFunc) http.Handler {
			router := gin.Default()
			router.Use(wrapGin(m))
			router.GET("/pay", gin.WrapF(handler))
			return router
		},
	} {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		authenticated := newTransport(t, pismo)
		client := &http.Client{Transport: authenticated}
		m := must(middleware.New(middleware.Config{
			Source: authenticated.Source(),
			Account: func(r *http.Request) (tokensource.Account, error) {
				if r.Header.Get("X-Test-User") != "alice" {
					return tokensource.Account{}, middleware.ErrUnauthenticated
				}
				return tokensource.ParseAccountID(alice)
			},
			Logger: slog.New(slog.DiscardHandler),
		}))(t)
		handled := 0
		url := serve(t, mount(m, func(_ http.ResponseWriter, r *http.Request) {
			handled++
			_ = read(t, must(client.Do(newRequest(r.Context(), t, http.MethodGet, pismo.URL()+"/v1/accounts/"+alice, "")))(t))
		})) + "/pay"
		status, _ := get(t, url)
		check(t, name+": status of an unknown user", status, http.StatusUnauthorized)
		check(t, name+": handled", handled, 0)
		req := newRequest(t.Context(), t, http.MethodGet, url, "")
		req.Header.Set("X-Test-User", "alice")
		resp := must(http.DefaultClient.Do(req))(t)
		_ = read(t, resp)
		check(t, name+": status", resp.StatusCode, http.StatusOK)
		check(t, name+": handled", handled, 1)
		check(t, name+": accepted for alice", pismo.Counts().Accounts[alice].Accepted, 1)
	}
}

// Middleware that reads the body before a proxy must put it back.
func TestGin_BindLeavesNoBody(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	proxy, logged := newProxy(t, pismo, forAliceAlways(t))
	router := gin.New()
	router.POST("/v1/payments", func(c *gin.Context) {
		var payment struct{ Amount float64 }
		_ = c.ShouldBindJSON(&payment)
	}, gin.WrapH(proxy))
	router.POST("/v1/uploads", func(c *gin.Context) {
		// recipe: gin-bind
		var payment struct{ Amount float64 }
		if err := c.ShouldBindBodyWithJSON(&payment); err != nil {
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		body, _ := c.Get(gin.BodyBytesKey) // The body that ShouldBindBodyWith has read.
		c.Request.Body = io.NopCloser(bytes.NewReader(body.([]byte)))
		// end
	}, gin.WrapH(proxy))
	url := serve(t, router)
	resp := must(http.DefaultClient.Do(newRequest(t.Context(), t, http.MethodPost, url+"/v1/payments", `{"amount":12.5}`)))(t)
	check(t, "the answer says misconfigured", strings.Contains(read(t, resp), "#misconfigured"), true)
	check(t, "the log names the body", strings.Contains(logged.String(), "body"), true)
	check(t, "payments", len(pismo.Deliveries()), 0)
	resp = must(http.DefaultClient.Do(newRequest(t.Context(), t, http.MethodPost, url+"/v1/uploads", `{"amount":12.5}`)))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusOK)
	check(t, "length of the delivered body", pismo.Deliveries()[0].Length, int64(len(`{"amount":12.5}`)))
}

// A gin.Context is a context.Context, but not the context of the request.
func TestGin_ContextIsNotTheRequests(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	client := &http.Client{Transport: newTransport(t, pismo)}
	router := gin.Default()
	router.GET("/pay", func(c *gin.Context) {
		c.Request = c.Request.WithContext(forAlice(t))
		_, err := client.Do(newRequest(c, t, http.MethodGet, pismo.URL(), ""))
		check(t, "with the context of gin: no account", isUnsent(err, transport.ErrNoAccount), true)
		resp := must(client.Do(newRequest(c.Request.Context(), t, http.MethodGet, pismo.URL()+"/v1/accounts/"+alice, "")))(t)
		_ = read(t, resp)
		check(t, "with the context of the request", resp.StatusCode, http.StatusOK)
	})
	status, _ := get(t, serve(t, router)+"/pay")
	check(t, "status", status, http.StatusOK)
}

// pathRouters are the recipes for an account in the path. An authorization must
// first have compared the account with the client.
var pathRouters = map[string]router{
	"net/http": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		// recipe: path-net-http
		account := middleware.FromPath("accountID")
		// end
		proxy, logged := newProxy(t, pismo, account)
		router := http.NewServeMux()
		router.Handle("/v1/accounts/{accountID}", proxy)
		return router, logged
	},
	"chi": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromPath("accountID"))
		router := chi.NewRouter()
		router.Handle("/v1/accounts/{accountID}", proxy)
		return router, logged
	},
	"gorilla/mux": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		// recipe: path-gorilla
		account := func(r *http.Request) (tokensource.Account, error) {
			return tokensource.ParseAccountID(mux.Vars(r)["accountID"])
		}
		// end
		proxy, logged := newProxy(t, pismo, account)
		router := mux.NewRouter()
		router.Handle("/v1/accounts/{accountID}", proxy)
		return router, logged
	},
	"echo": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromPath("accountID"))
		router := echo.New()
		// recipe: path-echo
		router.Any("/v1/accounts/:accountID", func(c echo.Context) error {
			c.Request().SetPathValue("accountID", c.Param("accountID")) // For FromPath.
			proxy.ServeHTTP(c.Response(), c.Request())
			return nil
		})
		// end
		return router, logged
	},
	"gin": func(t *testing.T, pismo *passporttest.Server) (http.Handler, *logged) {
		proxy, logged := newProxy(t, pismo, middleware.FromPath("accountID"))
		router := gin.New()
		// recipe: path-gin
		router.Any("/v1/accounts/:accountID", func(c *gin.Context) {
			c.Request.SetPathValue("accountID", c.Param("accountID")) // For FromPath.
			proxy.ServeHTTP(c.Writer, c.Request)
		})
		// end
		return router, logged
	},
}

func TestRouters_TakeAccountFromPath(t *testing.T) {
	for name, router := range pathRouters {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		handler, _ := router(t, pismo)
		url := serve(t, handler)
		status, _ := get(t, url+"/v1/accounts/"+alice)
		check(t, name+": status", status, http.StatusOK)
		check(t, name+": accepted for alice", pismo.Counts().Accounts[alice].Accepted, 1)
		status, _ = get(t, url+"/v1/accounts/0"+alice)
		check(t, name+": status of an invalid id", status, http.StatusForbidden)
	}
}

// An AccountFunc that looks in the wrong place is a mistake of the program: the
// answer is 500, and a log line names the missing value.
func TestRouters_SayWhereAccountIsMissing(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct {
		account middleware.AccountFunc
		mount   func(proxy http.Handler) http.Handler
		logged  string
	}{
		"gin, FromPath": {middleware.FromPath("accountID"), func(proxy http.Handler) http.Handler {
			router := gin.Default()
			router.Any("/v1/accounts/:accountID", gin.WrapH(proxy))
			return router
		}, "accountID"},
		"gin, Set": {middleware.FromContext(key{}), func(proxy http.Handler) http.Handler {
			router := gin.Default()
			router.Any("/v1/accounts/:accountID", func(c *gin.Context) {
				c.Set(key{}, alice)
				proxy.ServeHTTP(c.Writer, c.Request)
			})
			return router
		}, "integrations.key"},
		"gin, Set, and the context of gin": {middleware.FromContext("account"), func(proxy http.Handler) http.Handler {
			router := gin.Default()
			router.Any("/v1/accounts/:accountID", func(c *gin.Context) { c.Set("account", alice) }, gin.WrapH(proxy))
			return router
		}, "account"},
		"echo, FromPath": {middleware.FromPath("accountID"), func(proxy http.Handler) http.Handler {
			router := echo.New()
			router.Any("/v1/accounts/:accountID", echo.WrapHandler(proxy))
			return router
		}, "accountID"},
		"echo, Set": {middleware.FromContext("account"), func(proxy http.Handler) http.Handler {
			router := echo.New()
			router.Any("/v1/accounts/:accountID", func(c echo.Context) error {
				c.Set("account", alice)
				proxy.ServeHTTP(c.Response(), c.Request())
				return nil
			})
			return router
		}, "account"},
		"gorilla/mux, FromPath": {middleware.FromPath("accountID"), func(proxy http.Handler) http.Handler {
			router := mux.NewRouter()
			router.Handle("/v1/accounts/{accountID}", proxy)
			return router
		}, "accountID"},
		"net/http, a name outside the pattern": {middleware.FromPath("accountID"), func(proxy http.Handler) http.Handler {
			router := http.NewServeMux()
			router.Handle("/v1/accounts/{id}", proxy)
			return router
		}, "{id}"},
		"chi, a name outside the pattern": {middleware.FromPath("accountID"), func(proxy http.Handler) http.Handler {
			router := chi.NewRouter()
			router.Handle("/v1/accounts/{id}", proxy)
			return router
		}, "{id}"},
	} {
		pismo := passporttest.NewServer(t, passporttest.Config{})
		proxy, logged := newProxy(t, pismo, test.account)
		status, body := get(t, serve(t, test.mount(proxy))+"/v1/accounts/"+alice)
		check(t, name+": status", status, http.StatusInternalServerError)
		check(t, name+": the answer says misconfigured", strings.Contains(body, "#misconfigured"), true)
		check(t, name+": the log names "+test.logged+": "+logged.String(), strings.Contains(logged.String(), test.logged), true)
		check(t, name+": requests to the platform", pismo.Counts().ResourceRequests, 0)
	}
}
