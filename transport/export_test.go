// SPDX-License-Identifier: Apache-2.0

package transport

import "net/url"

// Judge exports the rules for a verdict to the fuzz test.
func (r *Refusal) Judge() Verdict { return r.classify() }

// BearerError exports the parser of WWW-Authenticate to the fuzz test.
func BearerError(challenges []string) string { return bearerError(challenges) }

// Endpoint exports the name under which a refusal is reported.
func Endpoint(u *url.URL) string { return endpoint(u) }
