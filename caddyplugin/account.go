package caddyplugin

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

// organization is the word for the account of the whole organization. It counts
// only where the configuration spells it out, never as a placeholder's value.
const organization = "organization"

// An accountOf says for which account a request is. The zero accountOf says
// nothing.
type accountOf struct {
	fixed       tokensource.Account // if it is not zero, every request is for it
	placeholder string
	pattern     *regexp.Regexp // or nil
	inexact     func(id string) bool
}

// newAccountOf returns the accountOf of the options account and
// account_pattern.
func newAccountOf(account, pattern string) (accountOf, error) {
	if account == "" && pattern != "" {
		return accountOf{}, &fault{"account_pattern", errors.New("is of no use without account")}
	}
	if err := checkAccount(account, pattern); err != nil {
		return accountOf{}, err
	}
	switch {
	case account == organization:
		return accountOf{fixed: tokensource.Organization()}, nil
	case account == "" || onePlaceholder(account):
		compiled, err := compile(pattern)
		return accountOf{placeholder: account, pattern: compiled}, err
	default:
		fixed, err := tokensource.ParseAccountID(account)
		return accountOf{fixed: fixed}, err
	}
}

// checkAccount returns what is wrong with the options account and
// account_pattern, as far as they are set.
func checkAccount(account, pattern string) error {
	if _, err := compile(pattern); err != nil {
		return &fault{"account_pattern", err}
	}
	if reason := clientChosen(account); reason != "" {
		return &fault{"account", errors.New(reason)}
	}
	switch {
	case account == "" || onePlaceholder(account):
		return nil
	case account != organization:
		if _, err := tokensource.ParseAccountID(account); err != nil {
			return &fault{"account", errors.New("is neither a placeholder, nor the word organization, nor an account id")}
		}
	}
	if pattern != "" {
		return &fault{"account_pattern", errors.New("is for a placeholder, and account is none")}
	}
	return nil
}

// onePlaceholder reports whether text is a placeholder, and nothing else.
func onePlaceholder(text string) bool {
	return len(text) > 2 && text[0] == '{' && strings.IndexByte(text, '}') == len(text)-1 && strings.LastIndexByte(text, '{') == 0
}

// proved are the placeholders about a request that are not for its client to
// choose: the certificate, as far as client_auth has it verified.
var proved = []string{"{http.request.tls.client.", "{http.request.remote."}

// clientChosen returns why a placeholder is no account: its value is what a
// client says, and not what authentication has proved.
func clientChosen(account string) string {
	is := func(prefix string) bool { return strings.HasPrefix(account, prefix) }
	switch {
	case is("{http.request.header."):
		return "is a header, which a client may have set: spell it out with account_header, and a pattern"
	case is("{http.regexp."), is("{http.request.") && !slices.ContainsFunc(proved, is):
		return "is what a client says, not what authentication has proved; use a placeholder such as {http.auth.user.id}, or map one"
	}
	return ""
}

// compile returns a pattern that is to match a whole value, or nil if it is
// empty.
func compile(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	if _, err := regexp.Compile(pattern); err != nil { // By itself: with what follows, a)|(b would be one.
		return nil, fmt.Errorf("is not a regular expression: %w", err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// known reports whether a says anything.
func (a accountOf) known() bool {
	return a.placeholder != "" || a.fixed != (tokensource.Account{})
}

// of returns the account of the request that repl belongs to. Errors are
// denials.
func (a accountOf) of(repl *caddy.Replacer) (tokensource.Account, error) {
	if a.fixed != (tokensource.Account{}) {
		return a.fixed, nil
	}
	value, err := repl.ReplaceFunc(a.placeholder, func(_ string, value any) (any, error) {
		if number, ok := value.(float64); ok && number >= inexactFrom {
			return nil, middleware.ErrForbidden
		}
		return value, nil
	})
	if err != nil || a.pattern != nil && !a.pattern.MatchString(value) {
		return tokensource.Account{}, middleware.ErrForbidden
	}
	account, err := tokensource.ParseAccountID(value)
	if err != nil || a.inexact != nil && a.inexact(value) {
		return tokensource.Account{}, middleware.ErrForbidden
	}
	return account, nil
}
