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

# Client certificates

Pismo's pages call mutual TLS mandatory. The certificate goes into the Transport
of the Client, and is good for resource calls as well. A [ClientCertificate]
follows its files, so that a certificate can be replaced without a restart:

	certificate, err := passport.NewClientCertificate("client.pem", "client.key")
	…
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{
		GetClientCertificate: certificate.GetClientCertificate,
	}
	client := &http.Client{Transport: transport}

# Proxies

Without a Client, and with a clone of http.DefaultTransport, the proxy is the
one in the environment (HTTPS_PROXY, NO_PROXY). Set the Transport's Proxy to
http.ProxyURL for another, or to nil for none. TLS passes through such a proxy,
which sees the host and nothing else. A gateway that ends TLS instead is a
BaseURL of its own, if need be with a path; it sees the secret.

# Other ways to a token

Pismo has two: OpenID, with an assertion in place of the secret, and OAuth2. An
issuer for one of them is a file beside s2s.go that makes the request; the
exchange and the answer are the same.
*/
package passport
