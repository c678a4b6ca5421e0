// SPDX-License-Identifier: Apache-2.0

// Package passporttest is a fake of the Pismo platform: its Passport API,
// which issues tokens, and a small resource API, which accepts only those
// tokens. It is for tests, examples and demonstrations.
//
// A test of a service that talks to Pismo runs the service against a [Server]
// instead, over HTTP on the loopback interface:
//
//	pismo := passporttest.NewServer(t, passporttest.Config{})
//	service := NewService(pismo.URL(), pismo.ServerKey(), pismo.ServerSecret())
//
// The test then reads what the fake server has seen ([Server.Counts],
// [Server.Deliveries]), revokes tokens ([Server.Revoke],
// [Server.RotateSecret]), or makes the fake server fail as Pismo and the
// gateways in front of Pismo can fail ([Server.Fail], [Server.Refuse]). A
// program uses [Start]. A test in a testing/synctest bubble, where there is no
// network, uses [NewInProcess] and [Server.RoundTripper].
//
// # OpenID
//
// The fake server takes assertions too. Register the public key, and get an
// issuer for a permission group:
//
//	pismo.RegisterKey(&key.PublicKey)
//	issuer := pismo.OpenIDIssuer(passport.FileKey(path), "pismo-v1:accounts:rw")
//
// Every fault of an assertion has the same answer, as at Pismo.
// Counts.Assertions says which fault it was. The external id of account 4711 is
// external-4711.
//
// # Revoking in a loop
//
// Many first tests loop over "revoke, request". The fourth request of such a
// loop gets a 401: a Source renews refused tokens three times in a row, and
// then once every [Server.RevocationInterval]. Wait for that interval in each
// round. It is 10 seconds with the default Config, and takes no time in a
// testing/synctest bubble:
//
//	synctest.Test(t, func(t *testing.T) {
//		pismo := passporttest.NewInProcess(t, passporttest.Config{})
//		service := NewService(pismo.URL(), pismo.Client())
//		for range 100 {
//			pismo.Revoke("102681871")
//			service.Pay(t, "102681871") // Its token is refused, and renewed.
//			time.Sleep(pismo.RevocationInterval())
//		}
//	})
//
// # A fleet of replicas
//
// A test of several processes names each of them in a header field of its token
// requests, and reads which replica got how many tokens for which account. The
// processes run their usual code: the field is part of their configuration.
//
//	pismo := passporttest.NewServer(t, passporttest.Config{ReplicaHeader: "X-Replica"})
//	issuer := pismo.Issuer()
//	issuer.Header = http.Header{"X-Replica": {"one"}} // In each process another.
//	…
//	n := pismo.Counts().IssuedTo[passporttest.Recipient{Replica: "one", Account: "102681871"}]
//
// With Config.NewTokenRevokesOld, a new token ends the account's older ones, as
// Pismo may do.
//
// # How far to trust it
//
// The fake server does what Pismo documents: it takes the documented token
// request, gives the documented answers, and sends the refusals that
// [DocumentedCases] lists for the operations that document them. It is stricter
// than Pismo may be, so that tests find a wrong client: it refuses token
// requests with fields that the schema does not have, and takes only one form
// of Authorization.
//
// Pismo does not document the following. The fake server refuses an expired
// token with an empty 401 (see Config.TokenRefusal). It answers wrong token
// requests with 400, 405, 413 and 415 and a message. A new token does not
// revoke an older one, unless Config.NewTokenRevokesOld is set. The resource
// API is made up; it follows Pismo's conventions only.
//
// Send no real credentials and no real data to the fake server. It listens on
// loopback addresses only.
//
// # Reading order
//
// A [Server] (server.go, config.go, listener.go) has two APIs. The Passport API
// (passport.go) checks the credentials (credentials.go) or the assertion
// (openid.go, assertion.go) and issues a [Token]
// (token.go, tokenstore.go, revocation.go). The resource API (resource.go)
// checks the token first (authorize.go). A [Fault] replaces an answer of the
// Passport API: fault.go has the script, and each group of faults has a file
// fault_*.go. A [Refusal] (refusal.go, documented.go) replaces an answer of the
// resource API. The server counts requests (counts.go) and keeps deliveries
// (deliveries.go). roundtrip.go serves requests without a network.
package passporttest
