// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"strconv"
	"unique"
)

// An AccountKind is the kind of an [Account]. It holds no secret. It can be
// printed, logged, and used as an attribute of a metric.
type AccountKind string

// The kinds of account.
const (
	// KindInvalid is the kind of the zero [Account].
	KindInvalid AccountKind = "invalid"
	// KindOrganization is the kind of the whole organization: its token
	// reaches everything that the credentials reach.
	KindOrganization AccountKind = "organization"
	// KindAccount is the kind of one Pismo account.
	KindAccount AccountKind = "account"
	// KindExternalAccount is the kind of one account, identified by another
	// system's id.
	KindExternalAccount AccountKind = "external_account"
)

// An Account is the account that a token reaches: the whole organization, one
// Pismo account, or one account by its external identifier. Make an Account
// with [Organization], [ParseAccountID] or [ExternalAccountID].
//
// The zero Account is invalid. A [Source] refuses it with [ErrMisconfigured].
// Otherwise a forgotten account would become the most powerful token.
//
// Accounts are comparable and may be used as map keys. Two Accounts are equal
// if their kinds and identifiers are equal. Printing an Account shows its kind,
// but never its identifier. [Account.ID] returns the identifier.
type Account struct {
	// hidden tells accounts apart, and is the hash of the account. For a
	// Pismo account it is the id, scrambled by scramble: fmt prints a number
	// in an unexported field without calling the methods of its type. 0 is
	// the zero Account.
	hidden uint64
	// external is the id of another system, or the zero Handle. fmt does
	// not print a string behind a pointer, whatever the verb.
	external unique.Handle[string]
}

// organizationNumber stands for the organization in the place of an id. Ids are
// below 2^63.
const organizationNumber = 1 << 63

// Organization returns the Account of the whole organization. Its token reaches
// everything that the credentials reach.
func Organization() Account { return Account{hidden: scramble(organizationNumber)} }

// ParseAccountID returns the Account with the given Pismo account id.
//
// An id is a positive integer below 2^63 in canonical decimal form: at most 19
// ASCII digits, without a sign, a leading zero or a space. Everything else is
// an error, so that one account has only one spelling. The error does not
// repeat the id.
func ParseAccountID(id string) (Account, error) {
	n, err := strconv.ParseUint(id, 10, 63)
	if err != nil || id[0] == '0' {
		return Account{}, &ConfigError{
			Field:  "account id",
			Reason: "is not a positive integer in canonical decimal form (no sign, space or leading zero, below 2^63)",
		}
	}
	return Account{hidden: scramble(n)}, nil
}

// MaxExternalAccountIDLen is the length in bytes of the longest external
// account id that [ExternalAccountID] accepts.
const MaxExternalAccountIDLen = 256

// ExternalAccountID returns the Account with the given id of another system.
// The id must have 1 to [MaxExternalAccountIDLen] printable ASCII characters.
// Pismo accepts such ids with OpenID, but not with server-to-server
// authentication: passport.S2S refuses them before it sends a request.
func ExternalAccountID(id string) (Account, error) {
	if len(id) == 0 || len(id) > MaxExternalAccountIDLen || !printable(id) {
		return Account{}, &ConfigError{
			Field:  "external account id",
			Reason: "is not 1 to 256 printable ASCII characters",
		}
	}
	return Account{max(hashExternal(id), 1), unique.Make(id)}, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func (a Account) hash() uint64 { return a.hidden }

// Kind returns the kind of the account.
func (a Account) Kind() AccountKind {
	switch {
	case a == Account{}:
		return KindInvalid
	case a == Organization():
		return KindOrganization
	case a.external != unique.Handle[string]{}:
		return KindExternalAccount
	}
	return KindAccount
}

// ID returns the account's identifier. It returns "" for the organization and
// for the zero Account. Identifiers are personal data: avoid logging them.
func (a Account) ID() string {
	switch a.Kind() {
	case KindAccount:
		return strconv.FormatUint(unscramble(a.hidden), 10)
	case KindExternalAccount:
		return a.external.Value()
	}
	return ""
}

// String returns the account's kind, without the identifier.
func (a Account) String() string { return string(a.Kind()) }

// GoString returns the account's kind, without the identifier, for the verb
// %#v.
func (a Account) GoString() string { return "tokensource.Account(" + string(a.Kind()) + ")" }
