// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A Ledger is a service that sends requests to Pismo.
type Ledger struct {
	baseURL string
	tokens  *tokensource.Source
	client  *http.Client
}

// Status returns the status of an account.
func (l *Ledger) Status(ctx context.Context, id string) (string, error) {
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		return "", err
	}
	token, err := l.tokens.Token(ctx, account)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.baseURL+"/v1/accounts/"+id, nil)
	if err != nil {
		return "", err
	}
	token.SetAuthHeader(request.Header)
	response, err := l.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return http.StatusText(response.StatusCode), nil
}

// NewLedger returns the service, configured for its tests.
func NewLedger(pismo *passporttest.Server) (*Ledger, error) {
	tokens, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer()})
	return &Ledger{baseURL: pismo.URL(), tokens: tokens, client: pismo.Client()}, err
}

// TestLedger_SurvivesARevocation is a test of that service.
func TestLedger_SurvivesARevocation(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{Accounts: []string{"102681871"}})
	ledger, err := NewLedger(pismo)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		status, err := ledger.Status(t.Context(), "102681871")
		if err != nil || status != "OK" {
			t.Errorf("got %q, error %v, want OK", status, err)
		}
	}
	if issued := pismo.Counts().Issued; issued != 1 {
		t.Errorf("three requests took %d tokens", issued)
	}
	if _, err := ledger.Status(t.Context(), "404"); !errors.Is(err, tokensource.ErrAccountRejected) {
		t.Errorf("an account that does not exist: got error %v, want account_rejected", err)
	}
}

// A service sends three requests to the fake server, with one token.
func Example() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()
	ledger, err := NewLedger(pismo)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		fmt.Println(ledger.Status(context.Background(), "102681871"))
	}
	fmt.Println(pismo.Counts().Issued, "token issued")
	// Output:
	// OK <nil>
	// OK <nil>
	// OK <nil>
	// 1 token issued
}

// In an outage, the token endpoint fails until Heal is called.
func ExampleServer_FailAlways() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()
	ledger, err := NewLedger(pismo)
	if err != nil {
		log.Fatal(err)
	}

	pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
	_, err = ledger.Status(context.Background(), "102681871")
	fmt.Println(errors.Is(err, tokensource.ErrUnavailable))

	pismo.Heal()
	other, err := NewLedger(pismo) // The first Ledger is in cooldown for a second.
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(other.Status(context.Background(), "102681871"))
	// Output:
	// true
	// OK <nil>
}

// Each token request meets the next fault.
func ExampleServer_Fail() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()

	pismo.Fail(passporttest.Reset(), passporttest.Fault{}) // The first request is reset, and the second is served.
	ledger, err := NewLedger(pismo)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ledger.Status(context.Background(), "102681871"))
	fmt.Println(pismo.Counts().TokenRequests, "token requests")
	// Output:
	// OK <nil>
	// 2 token requests
}

// Revocation makes the resource API refuse a token that it accepted before.
func ExampleServer_Revoke() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()
	ledger, err := NewLedger(pismo)
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(ledger.Status(context.Background(), "102681871"))
	pismo.Revoke("102681871")
	fmt.Println(ledger.Status(context.Background(), "102681871")) // This service does not renew.
	fmt.Println(pismo.Counts().Refused)
	// Output:
	// OK <nil>
	// Unauthorized <nil>
	// map[revoked:1]
}

// A 401 can be about the request, and not about the token.
func ExampleServer_Refuse() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer pismo.Close()
	ledger, err := NewLedger(pismo)
	if err != nil {
		log.Fatal(err)
	}

	pismo.Refuse(passporttest.MustRefusal("EUPI0120").ForAccount("102681871").Times(2))
	for _, id := range []string{"102681871", "7", "102681871", "102681871"} {
		fmt.Println(ledger.Status(context.Background(), id))
	}
	// Output:
	// Unauthorized <nil>
	// OK <nil>
	// Unauthorized <nil>
	// OK <nil>
}

// DocumentedCases lists every documented 401 with the methods that document it.
func ExampleDocumentedCases() {
	for _, c := range passporttest.DocumentedCases() {
		if c.Refusal.Kind == passporttest.KindProvider {
			fmt.Println(c.Method, c.Path, c.Refusal.Code)
		}
	}
	// Output:
	// GET /v2/pix/infraction-reports EPDG0013
	// POST /v2/pix/keys EPDG0013
	// PATCH /v2/pix/keys EPDG0013
}
