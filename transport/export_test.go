package transport

// Judge lets the fuzzer reach the rules for a verdict.
func (r *Refusal) Judge() Verdict { return r.judge() }

// BearerError lets the fuzzer reach the parser of WWW-Authenticate.
func BearerError(challenges []string) string { return bearerError(challenges) }
