// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// An operation of huma acts for the logged-in user. It answers failures of this
// module with their status.
func TestHuma_ActsForLoggedInUser(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	client, baseURL := &http.Client{Transport: newTransport(t, pismo)}, pismo.URL()
	router := chi.NewRouter()

	// recipe: huma
	router.Use(authenticate)
	api := humachi.New(router, huma.DefaultConfig("Bank", "1.0.0"))
	type output struct {
		Status int
		Body   []byte
	}
	huma.Get(api, "/me", func(ctx context.Context, _ *struct{}) (*output, error) {
		account, _ := tokensource.AccountFromContext(ctx)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/v1/accounts/"+account.ID(), nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req) // Acts for the account in the context.
		if err == nil {
			defer func() { _ = resp.Body.Close() }()
			if verdict, _ := transport.VerdictOf(resp); verdict == transport.TokenRefused {
				err = middleware.ErrTokenRefused // A 401 would log the client out.
			}
		}
		if err != nil {
			problem := middleware.ProblemOf(err)
			return nil, huma.NewError(problem.Status, problem.Detail)
		}
		body, err := io.ReadAll(resp.Body)
		return &output{resp.StatusCode, body}, err
	})
	// end
	url := serve(t, router)
	status, _ := get(t, url+"/me")
	check(t, "status of an unknown user", status, http.StatusUnauthorized)
	req := newRequest(t.Context(), t, http.MethodGet, url+"/me", "")
	req.Header.Set("X-Test-User", "alice")
	resp := must(http.DefaultClient.Do(req))(t)
	check(t, "status", resp.StatusCode, http.StatusOK)
	check(t, "body", bytes.Contains([]byte(read(t, resp)), []byte(alice)), true)

	pismo.FailAlways(passporttest.RateLimited(time.Minute))
	pismo.Revoke(alice)
	resp = must(http.DefaultClient.Do(req))(t)
	_ = read(t, resp)
	check(t, "status when the token is refused for good", resp.StatusCode, http.StatusBadGateway)
}

// A service of connect sends requests for the logged-in user. A client of
// connect is authenticated like any other client.
func TestConnect_ServiceAndClient(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	client, baseURL := &http.Client{Transport: newTransport(t, pismo)}, pismo.URL()

	// recipe: connect
	service := connect.NewUnaryHandler("/bank.v1.Bank/Me",
		func(ctx context.Context, _ *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			account, _ := tokensource.AccountFromContext(ctx)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/v1/accounts/"+account.ID(), nil)
			if err != nil {
				return nil, err
			}
			resp, err := client.Do(req) // Acts for the account in the context.
			if err != nil {
				if tokensource.IsPermanent(err) {
					return nil, connect.NewError(connect.CodeFailedPrecondition, err)
				}
				return nil, connect.NewError(connect.CodeUnavailable, err)
			}
			defer func() { _ = resp.Body.Close() }()
			return connect.NewResponse(wrapperspb.String(resp.Status)), nil
		})
	mux := http.NewServeMux()
	mux.Handle("/bank.v1.Bank/", authenticate(service))
	// end
	caller := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](http.DefaultClient, serve(t, mux)+"/bank.v1.Bank/Me")
	_, err := caller.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("")))
	check(t, "code of an unknown user", connect.CodeOf(err), connect.CodeUnauthenticated)
	req := connect.NewRequest(wrapperspb.String(""))
	req.Header().Set("X-Test-User", "alice")
	resp := must(caller.CallUnary(t.Context(), req))(t)
	check(t, "status of the platform", resp.Msg.GetValue(), "200 OK")
}

// A request of a connect client is replayed like any other request.
func TestConnect_ClientIsReplayed(t *testing.T) {
	calls := 0
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: connect.NewUnaryHandler("/bank.v1.Bank/Me",
		func(context.Context, *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			if calls++; calls == 2 {
				return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("business error"))
			}
			return connect.NewResponse(wrapperspb.String("me")), nil
		})})
	authenticated, baseURL := newTransport(t, pismo), pismo.URL()
	_ = tokenOf(t, authenticated)
	pismo.Revoke(alice)

	// recipe: connect-client
	client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](
		&http.Client{Transport: authenticated}, baseURL+"/bank.v1.Bank/Me")
	// end
	resp := must(client.CallUnary(forAlice(t), connect.NewRequest(wrapperspb.String(""))))(t)
	check(t, "answer", resp.Msg.GetValue(), "me")
	_, err := client.CallUnary(forAlice(t), connect.NewRequest(wrapperspb.String("")))
	check(t, "code of an answer of the business", connect.CodeOf(err), connect.CodeUnauthenticated)
	check(t, "calls", calls, 2) // There is no replay: the method is POST, and the code is unknown.
}

// The simplest loop of revocations passes if renewals get time. In a bubble of
// synctest, waiting takes no real time.
func TestRevoke_InALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pismo := passporttest.NewInProcess(t, passporttest.Config{})
		issuer := pismo.Issuer()
		issuer.Client = &http.Client{Transport: pismo.RoundTripper()}
		source := must(newTokenSource(issuer))(t)
		authenticated := newTransport(t, pismo, over(pismo.RoundTripper()), func(config *transport.Config) { config.Source = source })
		client := &http.Client{Transport: authenticated}
		pay := func() string {
			resp := must(client.Do(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t)
			_ = read(t, resp)
			return fmt.Sprint(resp.StatusCode)
		}
		_ = pay()

		// recipe: revoke-loop
		for range 100 {
			pismo.Revoke("102681871")
			if status := pay(); status != "201" {
				t.Errorf("got status %s, want 201", status)
			}
			time.Sleep(pismo.RevocationInterval()) // Without this wait, the fourth payment gets the 401.
		}
		// end

		time.Sleep(time.Minute)
		var statuses []string
		for range 4 {
			pismo.Revoke(alice)
			statuses = append(statuses, pay())
		}
		check(t, "without a pause", fmt.Sprint(statuses), "[201 201 201 401]")
	})
}
