package tokensource

import (
	"strconv"
	"strings"
	"unique"
)

// An AccountKind says what a token reaches. It is part of no secret and safe
// to print, to log and to use as an attribute of a metric.
type AccountKind string

// The kinds of account.
const (
	// KindInvalid is the kind of the zero [Account].
	KindInvalid AccountKind = "invalid"
	// KindOrganization reaches everything the credentials reach.
	KindOrganization AccountKind = "organization"
	// KindAccount reaches one Pismo account.
	KindAccount AccountKind = "account"
	// KindExternalAccount reaches one account, named by the identifier that
	// another system gave it.
	KindExternalAccount AccountKind = "external_account"
)

// An Account names what a token reaches: the whole organization, one Pismo
// account, or one account by its external identifier.
//
// The zero Account is invalid: asking a [Source] for its token fails with
// [ErrMisconfigured], because a forgotten account must not become the most
// powerful token there is. Make one with [Organization], [ParseAccountID] or
// [ExternalAccountID].
//
// Accounts are comparable and may be used as map keys. Two Accounts are equal
// when their kinds and identifiers are. Printing an Account shows its kind and
// never its identifier, which [Account.ID] returns.
type Account struct {
	// The kind, a slash and the id. A handle is one word, whatever their
	// length: cheap to hash and to compare. And fmt prints no string behind a
	// pointer; a struct it does, if the verb is wrong for a pointer.
	identity unique.Handle[string]
}

func newAccount(kind AccountKind, id string) Account {
	return Account{unique.Make(string(kind) + "/" + id)}
}

// Organization returns the Account of tokens that reach everything the
// credentials reach.
func Organization() Account { return newAccount(KindOrganization, "") }

// ParseAccountID returns the Account with the given Pismo account id.
//
// An id is a positive integer of at most 19 digits that fits in 63 bits, in
// its canonical decimal form: no sign, no leading zero, no space, ASCII digits
// only. Everything else is an error, so that no two spellings of one account
// can exist. The error does not repeat the id.
func ParseAccountID(id string) (Account, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != id {
		return Account{}, &ConfigError{
			Field:  "account id",
			Reason: "is not a positive integer in canonical decimal form (no sign, space or leading zero, below 2^63)",
		}
	}
	return newAccount(KindAccount, id), nil
}

// MaxExternalAccountID is the length in bytes of the longest external account
// id that [ExternalAccountID] accepts.
const MaxExternalAccountID = 256

// ExternalAccountID returns the Account that another system calls id. It must
// be 1 to [MaxExternalAccountID] printable ASCII characters. Pismo accepts
// such ids with OpenID; its server-to-server authentication does not, and
// passport.S2S refuses them before anything is sent.
func ExternalAccountID(id string) (Account, error) {
	if len(id) == 0 || len(id) > MaxExternalAccountID || !printable(id) {
		return Account{}, &ConfigError{
			Field:  "external account id",
			Reason: "is not 1 to 256 printable ASCII characters",
		}
	}
	return newAccount(KindExternalAccount, id), nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// Kind returns what kind of account this is.
func (a Account) Kind() AccountKind {
	if a == (Account{}) {
		return KindInvalid
	}
	kind, _, _ := strings.Cut(a.identity.Value(), "/")
	return AccountKind(kind)
}

// ID returns the account's identifier, or "" for the organization and for the
// zero Account. Identifiers are personal data: think before you log one.
func (a Account) ID() string {
	if a == (Account{}) {
		return ""
	}
	_, id, _ := strings.Cut(a.identity.Value(), "/")
	return id
}

// String returns the account's kind. The identifier is not part of it.
func (a Account) String() string { return string(a.Kind()) }

// GoString returns what %#v prints: the kind, without the identifier.
func (a Account) GoString() string { return "tokensource.Account(" + string(a.Kind()) + ")" }
