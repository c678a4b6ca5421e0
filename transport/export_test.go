package transport

import "net/url"

// Judge lets the fuzzer reach the rules for a verdict.
func (r *Refusal) Judge() Verdict { return r.classify() }

// BearerError lets the fuzzer reach the parser of WWW-Authenticate.
func BearerError(challenges []string) string { return bearerError(challenges) }

// Endpoint lets a test reach the name under which a refusal is reported.
func Endpoint(u *url.URL) string { return endpoint(u) }
