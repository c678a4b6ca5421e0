// Package tokensource keeps tokens for the Pismo platform: one per account,
// issued once however many ask for it, kept while it lives, renewed before it
// expires, and replaced when it is refused.
//
//	source, err := tokensource.New(tokensource.Config{Issuer: &passport.S2S{ … }})
//	account, err := tokensource.ParseAccountID("102681871")
//	token, err := source.Token(ctx, account)
//	token.SetAuthHeader(req.Header)
//
// Most programs hand the [Source] to a transport.Transport, and ask for no
// token themselves.
//
// # The life of a token
//
// For a caller, the token of an account is in one of four states:
//
//   - Fresh: it is returned at once.
//   - Stale, in the last quarter of its life, or a little earlier or later, so
//     that tokens issued together are not renewed together: it is returned at
//     once, and its successor is issued in the background.
//   - Unusable: there is none, or it has less than 15 s left, or less than a
//     tenth of its life. The caller waits for the one issuance that runs for
//     the account, and starts it if there is none.
//   - In cooldown: issuances failed a moment ago. The caller gets the cause at
//     once, with the time after which asking again makes sense.
//
// A life is counted from just before the token was asked for. Its length is the
// shortest that the endpoint tells: exp − iat if the token is a JWT, expires_in,
// and exp minus the time of the answer by the endpoint's own clock. So no clock
// has to agree with Pismo's.
//
// # Refusals
//
// A token that the platform refuses is replaced by [Source.Renew]. New callers
// wait for its successor for at most a second, and then get the refused token:
// refused by one endpoint is not revoked. When three different endpoints have
// refused a token, and none has accepted it in between, it is not handed out any
// more.
//
// # Failures
//
// An issuance that fails for a passing reason makes a second attempt; the next
// ones make one. After each failure the account is in cooldown for between half
// and all of 1 s, 2 s, 4 s and so on up to 30 s, or as long as a Retry-After
// says, up to a minute.
//
// When three different accounts have failed with no success between, or the
// organization has, a breaker opens for the whole Source, for as long, and for
// up to 5 minutes if the credentials were rejected. After that one issuance goes
// through, and what comes of it closes the breaker or opens it again. A rejected
// account counts only if it has had a token before, or if no account has:
// requests for accounts that do not exist open nothing for the others.
//
// A token that lives is handed out through all of it.
//
// # Rules of correct use
//
//   - Make one Source for each set of credentials, and share it.
//   - Do not keep tokens: ask for one for each request. It costs a look-up.
//   - When the platform refuses a token, call [Source.Renew] with it, and do not
//     count on the renewal: a 401 has many reasons.
//   - The zero [Account] is invalid. Say [Organization] if you mean it.
//   - Log tokens, accounts and errors as they are. What is secret in them does
//     not show.
//
// # Reading order
//
// source.go has the Source. A call of Token goes through acquire.go, which finds
// the account's entry (entry.go) and waits for an issuance (issuance.go). What
// comes back is a grant (grant.go, claims.go), which becomes a token (token.go).
// A refusal comes in through renew.go and evidence.go. breaker.go, cooldown.go,
// revision.go and slots.go say when no issuance may begin.
package tokensource
