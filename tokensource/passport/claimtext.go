// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// textFaults returns the faults of the texts of an OpenID that become claims, a
// field of the header or the path of the endpoint. An endpoint would refuse
// such a text in the same manner as a wrong key.
func (o *OpenID) textFaults() (faults []error) {
	for _, field := range []struct{ name, value string }{
		{"Issuer", o.Issuer}, {"Subject", o.Subject}, {"Audience", o.Audience}, {"TenantID", o.TenantID}, {"Group", o.Group},
		{"OrganizationUID", o.OrganizationUID}, {"KeyID", o.KeyID}, {"TokenPath", o.TokenPath},
	} {
		if reason := textFault(field.value); reason != "" {
			faults = append(faults, faultOf("OpenID", field.name, reason))
		}
	}
	if !isTokenPath(o.TokenPath) {
		faults = append(faults, faultOf("OpenID", "TokenPath", `is not a path below the BaseURL; remove the scheme, the query, the fragment and each ".." segment`))
	}
	return faults
}

// textFault returns why a text cannot be a claim, or "". An editor or a file
// adds a line break. The encoding as JSON would change bytes that are not
// UTF-8.
func textFault(text string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case !utf8.ValidString(text):
		return "is not in UTF-8; correct its encoding"
	case strings.ContainsFunc(text, unprintable):
		return "holds an unprintable character, such as a line break; remove it"
	case strings.TrimSpace(text) != text:
		return "begins or ends with a space; remove it"
	}
	return ""
}

// isTokenPath reports whether a path, joined to the BaseURL, stays below it.
func isTokenPath(path string) bool {
	if strings.Contains(path, "://") || strings.ContainsAny(path, `?#%\`) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
