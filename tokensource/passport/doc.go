/*
Package passport has the issuers: how Pismo's Passport API hands out a token.

An issuer is given to a [tokensource.Source], which asks it for a token when
there is none that can be used, and keeps what it gets:

	source, err := tokensource.New(tokensource.Config{
		Issuer: &passport.S2S{
			BaseURL:     "https://sandbox.pismolabs.io",
			Credentials: passport.FileCredentials("/run/secrets/pismo-key", "/run/secrets/pismo-secret"),
		},
	})

[S2S] is the issuer for Pismo's server-to-server authentication. It never
follows a redirect, never sends a credential in the clear to another machine
(unless it is told to), and never lets a part of the request or of the answer
into the text of an error.

# Rules of correct use

  - Call [tokensource.Source.Token], not [S2S.Issue], which makes a request each
    time. Make one Source for each set of credentials, and keep it.
  - BaseURL is what Pismo told you for the environment, without "/passport".
  - Keep the secret out of the program, of its arguments and of its repository.
    It is full of punctuation that shells, .env files and Caddyfiles take for
    their own: prefer [FileCredentials] to [EnvCredentials].
  - Leave the checking of certificates on (no InsecureSkipVerify). TLS is what
    proves that a token comes from Pismo: its signature cannot be verified by
    anyone else, as [tokensource.Token.Claims] explains.
  - Give the issuer an HTTP client that does not authenticate its requests. One
    that asks the Source for a token would ask while making one.
  - Do not change an issuer, or what its fields point to, once it is in use. To
    rotate credentials, change what the environment variables or the files hold.

# At the start of a program

[tokensource.New] checks what is configured, and reads nothing. To find an unset
variable or an unreadable file when the program starts, and not at its first
request, read the credentials once:

	if err := issuer.Credentials.Check(ctx); err != nil {
		log.Fatal(err) // It names the variable or the file, and no secret.
	}

# Client certificates

Pismo's pages call mutual TLS mandatory, for token requests and for resource
calls. A [ClientCertificate] follows its files, so that a certificate can be
replaced without a restart. What its RoundTripper returns serves both:

	certificate, err := passport.NewClientCertificate("client.pem", "client.key")
	…
	rt := certificate.RoundTripper(nil)
	issuer.Client = &http.Client{Transport: rt}
	config := transport.Config{Base: rt, …}

# Connections

An issuer without a Client of its own has connections of its own, which are kept,
and checked by pings if they are HTTP/2. A connection on which a token request
timed out or broke off is not used again, so that a dead one costs one request;
[S2S].Client says what that takes where the Client is yours.

# Proxies

Without a Client, the proxy is the one in the environment (HTTPS_PROXY,
NO_PROXY). Set the Proxy of a Transport of your own to http.ProxyURL for another,
or to nil for none. TLS passes through such a proxy, which sees the host and
nothing else. A gateway that ends TLS instead is a BaseURL of its own, if need be
with a path; it sees the secret.

# Other ways to a token

Pismo has two: OpenID, with an assertion in place of the secret, and OAuth2. An
issuer for one of them is a file beside s2s.go that makes the request; the
exchange and the answer are the same.

# Reading order

s2s.go makes the request, exchange.go sends it, response.go tells what the answer
means, answer.go and number.go read it. connections.go has what is sent over,
progress.go and explain.go the text of what went wrong on the way. credentials.go
has the key and the secret, certificate.go and rotation.go the client's
certificate, validate.go what a configuration may be.
*/
package passport
