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
//   - Invalid: there is none, or it has less than 15 s left, or less than a
//     tenth of its life. The caller waits for the one issuance that runs for
//     the account, and starts it if there is none.
//   - Cooling: issuances failed a moment ago. The caller gets the cause at once,
//     with the time after which asking again makes sense.
//
// A life is counted from just before the token was asked for. Its length is
// exp − iat if the token is a JWT, so that nobody's clock has to be right.
//
// # Failures
//
// An issuance that fails for a passing reason makes a second attempt; the next
// ones make one. After each the account is left alone for between half and all
// of 1 s, 2 s, 4 s and so on up to 30 s, or as long as a Retry-After says, up to
// a minute. When three different accounts have failed with no success between,
// or the organization has, the whole Source is left alone in the same way, for
// up to 5 minutes if the credentials were rejected; then a single issuance goes
// ahead on trial. (That the organization is rejected says nothing of the rest
// where an account was given a token.) A token that lives is handed out through
// all of it.
//
// # Rules of correct use
//
//   - Make one Source for each set of credentials, and share it.
//   - Do not keep tokens: ask for one for each request. It costs a look-up.
//   - When the platform refuses a token, call [Source.Renew] with it, and do not
//     count on the renewal: a 401 has many reasons.
//   - The zero [Account] is nobody. Say [Organization] if you mean it.
//   - Log tokens, accounts and errors as they are. What is secret in them does
//     not show.
package tokensource
