// SPDX-License-Identifier: Apache-2.0

/*
Package passport has the issuers of tokens: clients of Pismo's Passport API.

A [tokensource.Source] has an issuer. The Source asks the issuer for a token if
it has no usable token, and keeps the token that it gets:

	source, err := tokensource.New(tokensource.Config{
		Issuer: &passport.S2S{
			BaseURL:     "https://sandbox.pismolabs.io",
			Credentials: passport.FileCredentials("/run/secrets/pismo-key", "/run/secrets/pismo-secret"),
		},
	})

[S2S] is the issuer for Pismo's server-to-server authentication. It never
follows a redirect. It never sends a credential in the clear to another machine,
unless S2S.DangerouslyAllowHTTP is set. No part of the request or of the answer
gets into the text of an error.

# Rules of correct use

  - Call [tokensource.Source.Token], not [S2S.Issue], which sends a request each
    time. Make one Source for each set of credentials, and keep it.
  - BaseURL is the URL that Pismo gave you for the environment, without
    "/passport".
  - Keep the secret out of the program, its arguments and its repository. The
    secret is full of punctuation with a meaning in shells, .env files and
    Caddyfiles: prefer [FileCredentials] to [EnvCredentials].
  - Leave the verification of certificates on (no InsecureSkipVerify). Only TLS
    proves that a token comes from Pismo: nobody but Pismo can verify the
    token's signature, as [tokensource.Token.Claims] explains.
  - Give the issuer an HTTP client that does not authenticate its requests. A
    client that asks the Source for a token would ask while the Source waits for
    that token.
  - Do not change an issuer that is in use, nor the values that its fields point
    to. To rotate credentials, change the environment variables or the files.

# At the start of a program

[tokensource.New] checks the configuration and reads no credentials. Read them
once at the start of the program, to find an unset variable or an unreadable
file then, and not at the first request:

	if err := issuer.Credentials.Check(ctx); err != nil {
		log.Fatal(err) // It names the variable or the file, and no secret.
	}

# Client certificates

Pismo's pages call mutual TLS mandatory, for token requests and for resource
calls. A [ClientCertificate] reads its files again when they change, so that a
certificate can be replaced without a restart. Its RoundTripper serves both
kinds of requests:

	certificate, err := passport.NewClientCertificate("client.pem", "client.key")
	…
	rt := certificate.RoundTripper(nil)
	issuer.Client = &http.Client{Transport: rt}
	config := transport.Config{Base: rt, …}

ClientCertificate is in this package, and not in a package of its own, because
an issuer needs more than its public methods: after a broken exchange, the
issuer retires the RoundTripper's connections.

# Connections

An issuer without a Client has its own connections. It keeps idle connections,
and checks HTTP/2 connections by pings. After a token request timed out or broke
off, it does not use that connection again, so that a dead connection costs one
request. The comment of [S2S].Client says what this needs with your own Client.

# Proxies

Without a Client, the proxy comes from the environment (HTTPS_PROXY, NO_PROXY).
With a Transport of your own, set its Proxy to http.ProxyURL for another proxy,
or to nil for no proxy. TLS passes through such a proxy, which sees only the
host. A gateway that terminates TLS instead sees the secret. Set BaseURL to its
address, with a path if it needs one.

# OpenID

[OpenID] is the issuer for Pismo's OpenID: it signs an assertion and sends no
secret. Pismo prefers it, and Visa Pay's production takes nothing else:

	issuer := &passport.OpenID{
		BaseURL:  "https://sandbox.pismolabs.io",
		Key:      passport.FileKey("/run/secrets/pismo.pem"),
		Issuer:   "…", Subject: "…", Audience: "…", TenantID: "TN-…", // from Pismo
		Group:    "pismo-v1:accounts:rw",
	}

The rules above hold for it too, with these additions:

  - The private key never leaves the process, or the KMS or HSM behind a
    [SignerKey]. Let only the program read the key file.
  - Synchronize the clock. An assertion names the local time.
  - A token reaches the endpoints of one permission group. Make a Source for
    each group, and route between them with transport.NewRouter.
  - Name the next key too while a rotation waits for its approval; see [FileKey].
  - Call [Key.Check] at the start of the program.

Pismo's third way, OAuth2, is not here: Pismo documents neither the encoding of
its request nor the answer.

# Reading order

A token request goes through s2s.go or openid.go, which build it (endpoint.go
has what they share), and exchange.go, which sends it. response.go classifies
the answer, and answer.go and number.go parse it. connections.go has the
connections. progress.go, explain.go and networkreason.go make the text of a
failure.

Configuration: credentials.go and secretfunc.go have the key and the secret of
S2S. For OpenID, key.go, keyfile.go and signer.go have the keys that sign the
assertion of assertion.go. certificate.go and certificatetransport.go have the
client's certificate, validate.go the checks.
*/
package passport
