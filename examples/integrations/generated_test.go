// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/examples/integrations/oapiclient"
	"github.com/pismoauth/pismoauth/examples/integrations/ogenclient"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A client of oapi-codegen sends the declared Authorization field empty.
func TestOAPICodegen_SendsToken(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated, baseURL, ctx := newTransport(t, pismo), pismo.URL(), forAlice(t)

	// recipe: oapi-codegen
	client, err := oapiclient.NewClient(baseURL,
		oapiclient.WithHTTPClient(&http.Client{Transport: authenticated, Timeout: 30 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	// Leave Authorization empty: the transport has the token.
	resp, err := client.GetAccount(ctx, 102681871, &oapiclient.GetAccountParams{})
	// end
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", resp.StatusCode, http.StatusOK)
	_ = read(t, resp)

	pismo.Revoke(alice)
	resp = must(client.PostPayment(ctx, &oapiclient.PostPaymentParams{}, oapiclient.Payment{Amount: 12.5}))(t)
	check(t, "status of a payment", resp.StatusCode, http.StatusCreated)
	_ = read(t, resp)
	check(t, "accepted", pismo.Counts().Accepted, 2)
}

// Some programs write their token into the parameter. They get an error that
// says so.
func TestOAPICodegen_RefusesOtherToken(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated := newTransport(t, pismo)
	client := must(oapiclient.NewClient(pismo.URL(), oapiclient.WithHTTPClient(&http.Client{Transport: authenticated})))(t)
	for authorization, want := range map[string]error{
		"":                                    nil,
		"Bearer":                              nil,
		"Bearer ":                             nil,
		tokenOf(t, authenticated):             nil,
		"Bearer " + tokenOf(t, authenticated): nil,
		"Bearer of-another-client":            transport.ErrAuthorizationPresent,
		"of-another-client":                   transport.ErrAuthorizationPresent,
	} {
		resp, err := client.GetAccount(forAlice(t), 102681871, &oapiclient.GetAccountParams{Authorization: authorization})
		if err == nil {
			_ = read(t, resp)
			check(t, "status", resp.StatusCode, http.StatusOK)
		}
		if !errors.Is(err, want) {
			t.Errorf("%.10q: got %v, want %v", authorization, err, want)
		}
	}
}

// recipe: ogen-source
// noToken is an ogenclient.SecuritySource. The transport has the token.
type noToken struct{}

func (noToken) Bearer(context.Context, ogenclient.OperationName) (ogenclient.Bearer, error) {
	return ogenclient.Bearer{}, nil
}

// end

// A client of ogen sends the scheme of its security source without a token.
func TestOgen_SendsToken(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated, baseURL, ctx := newTransport(t, pismo), pismo.URL(), forAlice(t)

	// recipe: ogen
	client, err := ogenclient.NewClient(baseURL, noToken{},
		ogenclient.WithClient(&http.Client{Transport: authenticated, Timeout: 30 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	account, err := client.GetAccount(ctx, ogenclient.GetAccountParams{AccountId: 102681871})
	// end
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := account.(*ogenclient.Account); !ok {
		t.Errorf("got %T, want an account", account)
	}

	pismo.Revoke(alice)
	receipt := must(client.PostPayment(ctx, &ogenclient.Payment{Amount: 12.5}, ogenclient.PostPaymentParams{}))(t)
	if _, ok := receipt.(*ogenclient.Receipt); !ok {
		t.Errorf("got %T, want a receipt", receipt)
	}
	check(t, "accepted", pismo.Counts().Accepted, 2)
}

// A business answer reaches the caller of a generated client in its declared
// type.
func TestOgen_ReturnsBusinessAnswer(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
	client := must(ogenclient.NewClient(pismo.URL(), noToken{}, ogenclient.WithClient(&http.Client{Transport: newTransport(t, pismo)})))(t)
	answer := must(client.PostPayment(forAlice(t), &ogenclient.Payment{Amount: 12.5}, ogenclient.PostPaymentParams{}))(t)
	refusal, ok := answer.(*ogenclient.Error)
	if !ok || refusal.Code.Value != "EUPI0120" {
		t.Errorf("got %T, want the refusal EUPI0120", answer)
	}
	check(t, "tokens issued", pismo.Counts().Issued, 1)
}

// AuthorizationToken is another header of Pismo. The caller sets it.
func TestAuthorizationToken_IsLeftAlone(t *testing.T) {
	var sent string
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("AuthorizationToken")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	})})
	authenticated, baseURL, ctx := newTransport(t, pismo), pismo.URL(), forAlice(t)
	source, account := authenticated.Source(), must(tokensource.ParseAccountID(alice))(t)
	client := must(oapiclient.NewClient(baseURL, oapiclient.WithHTTPClient(&http.Client{Transport: authenticated})))(t)

	// recipe: authorization-token
	token, err := source.Token(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.GetStatements(ctx, &oapiclient.GetStatementsParams{AuthorizationToken: token.Reveal()})
	// end
	if err != nil {
		t.Fatal(err)
	}
	_ = read(t, resp)
	check(t, "AuthorizationToken is the token", sent == tokenOf(t, authenticated), true)
}

// The caller of a generated client does not see the response, but gets the
// verdict.
func TestOgen_TellsVerdict(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
	client := must(ogenclient.NewClient(pismo.URL(), noToken{}, ogenclient.WithClient(&http.Client{Transport: newTransport(t, pismo)})))(t)
	ctx, payment, refused := forAlice(t), &ogenclient.Payment{Amount: 12.5}, false

	// recipe: generated-verdict
	attempts := new(transport.RetryGroup)
	_, err := client.PostPayment(transport.ContextWithRetryGroup(ctx, attempts), payment, ogenclient.PostPaymentParams{})
	if verdict, ok := attempts.Verdict(); ok && verdict == transport.RequestRefused {
		refused = true // A business refusal: the token is valid.
	}
	// end
	if err != nil {
		t.Fatal(err)
	}
	check(t, "refused", refused, true)
}
