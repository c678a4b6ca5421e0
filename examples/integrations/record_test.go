// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/dnaeon/go-vcr.v4/pkg/cassette"
	"gopkg.in/dnaeon/go-vcr.v4/pkg/recorder"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A recorder above the transport records no token. Its cassette is replayed
// without the platform.
func TestVCR_RecordsNoTokenAbove(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	authenticated, path := newTransport(t, pismo), filepath.Join(t.TempDir(), "accounts")
	url := pismo.URL() + "/v1/accounts/" + alice
	var bodies []string
	for range 2 {
		// recipe: vcr-above
		recording, err := recorder.New(path, recorder.WithRealTransport(authenticated))
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: recording}
		// end
		bodies = append(bodies, read(t, must(client.Do(newRequest(forAlice(t), t, http.MethodGet, url, "")))(t)))
		if err := recording.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	check(t, "the replayed body", bodies[1], bodies[0])
	check(t, "requests to the platform", pismo.Counts().ResourceRequests, 1)
	check(t, "requests for a token", pismo.Counts().TokenRequests, 1)
	recorded := string(must(os.ReadFile(path + ".yaml"))(t))
	check(t, "the cassette has the request", strings.Contains(recorded, "/v1/accounts/"), true)
	check(t, "the cassette has the token", strings.Contains(recorded, tokenOf(t, authenticated)), false)
	check(t, "the cassette has an Authorization", strings.Contains(strings.ToLower(recorded), "authorization"), false)
}

// A recorder below the transport sees the token, and must leave it out of the
// cassette. Each run of the fake server has other tokens, so the matcher
// ignores them.
func TestVCR_LeavesTokenOutBeneath(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	path, base, token := filepath.Join(t.TempDir(), "payments"), transport.NewBase(), ""
	t.Cleanup(base.CloseIdleConnections)
	for range 2 {
		// recipe: vcr-below
		recording, err := recorder.New(path, recorder.WithRealTransport(base),
			recorder.WithMatcher(cassette.NewDefaultMatcher(cassette.WithIgnoreAuthorization())),
			recorder.WithHook(func(i *cassette.Interaction) error {
				i.Request.Headers.Del("Authorization")
				return nil
			}, recorder.BeforeSaveHook))
		// end
		if err != nil {
			t.Fatal(err)
		}
		authenticated := newTransport(t, pismo, over(recording))
		client := &http.Client{Transport: authenticated}
		if token == "" {
			token = tokenOf(t, authenticated)
		}
		pismo.Revoke(alice) // The cassette also has the 401 and the replay.
		resp := must(client.Do(newRequest(forAlice(t), t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t)
		_ = read(t, resp)
		check(t, "status", resp.StatusCode, http.StatusCreated)
		if err := recording.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	check(t, "payments made", pismo.Counts().Accepted, 1)
	recorded := string(must(os.ReadFile(path + ".yaml"))(t))
	check(t, "the cassette has the request", strings.Contains(recorded, "/v1/payments"), true)
	check(t, "the cassette has the token", strings.Contains(recorded, token), false)
	check(t, "the cassette has an Authorization", strings.Contains(strings.ToLower(recorded), "authorization"), false)
}

// A recorder makes its own responses, without the caller's request. The verdict
// on a 401 is in the RetryGroup.
func TestVerdictOf_SurvivesVCR(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
	recording := must(recorder.New(filepath.Join(t.TempDir(), "refusal"), recorder.WithRealTransport(newTransport(t, pismo))))(t)
	attempts := new(transport.RetryGroup)
	ctx := transport.ContextWithRetryGroup(forAlice(t), attempts)
	client := &http.Client{Transport: recording}
	resp := must(client.Do(newRequest(ctx, t, http.MethodPost, pismo.URL()+"/v1/payments", "payment")))(t)
	_ = read(t, resp)
	verdict, _ := attempts.Verdict()
	check(t, "verdict", verdict, transport.RequestRefused)
}
