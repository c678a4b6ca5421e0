// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"golang.org/x/oauth2"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A counter stands for a token endpoint in these examples. It numbers its
// tokens. Use a *passport.S2S instead.
type counter struct{ issued int }

func (c *counter) Issue(context.Context, tokensource.Account) (tokensource.Grant, error) {
	c.issued++
	return tokensource.Grant{
		Token:     tokensource.NewSecret(fmt.Sprintf("token-%d", c.issued)),
		ExpiresIn: 10 * time.Minute,
	}, nil
}

// exampleSource returns a Source for an example.
func exampleSource() *tokensource.Source {
	src, err := tokensource.New(tokensource.Config{Issuer: &counter{}})
	if err != nil {
		log.Fatal(err)
	}
	return src
}

func ExampleNew() {
	src, err := tokensource.New(tokensource.Config{
		Issuer: &counter{}, // A *passport.S2S.
	})
	if err != nil {
		log.Fatal(err)
	}
	account, err := tokensource.ParseAccountID("102681871")
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	tok, err := src.Token(ctx, account)
	if err != nil {
		log.Fatal(err)
	}
	tok.SetAuthHeader(req.Header)

	fmt.Println(req.Header.Get("Authorization"))
	// Output: Bearer token-1
}

// Every fault is reported, with its field.
func ExampleNew_faults() {
	_, err := tokensource.New(tokensource.Config{MaxAccounts: -1})
	fmt.Println(err)
	// Output:
	// pismoauth: Config.Issuer: is not set; use a *passport.S2S
	// pismoauth: Config.MaxAccounts: is negative; leave it 0 for 10,000
}

// An AccountSource saves the look-up of an account that is used often.
func ExampleSource_ForAccount() {
	organization := exampleSource().ForAccount(tokensource.Organization())
	for range 3 {
		tok, err := organization.Token(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tok.Serial(), tok.Account())
	}
	// Output:
	// 1 organization
	// 1 organization
	// 1 organization
}

// When the platform answers 401, request another token once, and repeat the
// request if that is safe. A transport does all of this by itself.
func ExampleSource_Renew() {
	src, ctx := exampleSource(), context.Background()
	refused, err := src.Token(ctx, tokensource.Organization())
	if err != nil {
		log.Fatal(err)
	}

	tok, err := src.Renew(ctx, refused)
	if err != nil {
		log.Fatal(err) // Return the 401 to the caller.
	}
	fmt.Println(refused.Serial(), "is replaced by", tok.Serial())

	// Other callers with the same refused token get the same new token.
	tok, err = src.Renew(ctx, refused)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(refused.Serial(), "is replaced by", tok.Serial())
	// Output:
	// 1 is replaced by 2
	// 1 is replaced by 2
}

// A Source can replace an oauth2.TokenSource.
func ExampleSource_OAuth2() {
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	}))
	defer platform.Close()

	client := &http.Client{Transport: &oauth2.Transport{
		Source: exampleSource().OAuth2(tokensource.Organization()),
		Base:   platform.Client().Transport,
	}}
	resp, err := client.Get(platform.URL) //nolint:noctx // As code with oauth2 does.
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()

	var authorization string
	if _, err := fmt.Fscanf(resp.Body, "Bearer %s", &authorization); err != nil {
		log.Fatal(err)
	}
	fmt.Println(authorization)
	// Output: token-1
}

// Do not wrap the token source in another cache: that cache keeps a revoked
// token. Do not pass it to oauth2.NewClient, which adds such a cache.
func ExampleSource_OAuth2_incorrect() {
	src, ctx := exampleSource(), context.Background()
	cached := oauth2.ReuseTokenSource(nil, src.OAuth2(tokensource.Organization())) // Incorrect.

	before, err := cached.Token()
	if err != nil {
		log.Fatal(err)
	}
	revoked, err := src.Token(ctx, tokensource.Organization())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := src.Renew(ctx, revoked); err != nil {
		log.Fatal(err)
	}
	after, err := cached.Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the revoked token is still in use:", after.AccessToken == before.AccessToken)
	// Output: the revoked token is still in use: true
}

// The kind of an error decides the reaction. The text is safe to log and to
// show.
func ExampleError() {
	down := func(context.Context, tokensource.Account) (tokensource.Grant, error) {
		err := tokensource.NewError(tokensource.ErrRateLimited, errors.New("something to keep to ourselves"))
		err.StatusCode = http.StatusTooManyRequests
		err.RetryAfter = 20 * time.Second
		return tokensource.Grant{}, err
	}
	src, err := tokensource.New(tokensource.Config{Issuer: issuerFunc(down)})
	if err != nil {
		log.Fatal(err)
	}

	_, err = src.Token(context.Background(), tokensource.Organization())
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		fmt.Println("kind:", e.ErrorType())
		fmt.Println("text:", e)
		fmt.Println("later:", e.RetryAfter)
	}
	fmt.Println(errors.Is(err, tokensource.ErrRateLimited))
	// Output:
	// kind: rate_limited
	// text: pismoauth: the token endpoint limits the rate of requests (status 429, retry after 20s)
	// later: 20s
	// true
}

// Hooks report events to a program's own telemetry.
func ExampleHooks() {
	src, err := tokensource.New(tokensource.Config{
		Issuer: &counter{},
		Hooks: tokensource.Hooks{
			Acquire: func(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
				return ctx, func(result tokensource.AcquireResult) {
					fmt.Println(info.Origin, "token", result.Serial)
				}
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if _, err := src.Token(context.Background(), tokensource.Organization()); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// issued token 1
	// cached token 1
}

// An Account prints its kind. Its id is personal data: call ID for it.
func ExampleParseAccountID() {
	account, err := tokensource.ParseAccountID("102681871")
	fmt.Println(account, account.ID(), err)

	_, err = tokensource.ParseAccountID("0102681871")
	fmt.Println(err)
	// Output:
	// account 102681871 <nil>
	// pismoauth: account id: is not a positive integer in canonical decimal form (no sign, space or leading zero, below 2^63)
}

// The context carries the account to the code that needs it.
func ExampleContextWithAccount() {
	ctx := tokensource.ContextWithAccount(context.Background(), tokensource.Organization())

	account, ok := tokensource.AccountFromContext(ctx)
	fmt.Println(account, ok)
	// Output: organization true
}
