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

// An accountRule says for which account a request is. The zero accountRule says
// nothing.
type accountRule struct {
	fixed       tokensource.Account // if it is not zero, every request is for it
	placeholder string
	pattern     *regexp.Regexp // or nil
	isRounded   func(id string) bool
}

// newAccountRule returns the accountRule of the options account and
// account_pattern.
func newAccountRule(account, pattern string) (accountRule, error) {
	if account == "" && pattern != "" {
		return accountRule{}, &optionError{"account_pattern", errors.New("is of no use without account")}
	}
	if err := checkAccount(account, pattern); err != nil {
		return accountRule{}, err
	}
	switch {
	case account == organization:
		return accountRule{fixed: tokensource.Organization()}, nil
	case account == "" || onePlaceholder(account):
		compiled, err := compileWhole(pattern)
		return accountRule{placeholder: account, pattern: compiled}, err
	default:
		fixed, err := tokensource.ParseAccountID(account)
		return accountRule{fixed: fixed}, err
	}
}

// checkAccount returns what is wrong with the options account and
// account_pattern, as far as they are set.
func checkAccount(account, pattern string) error {
	if _, err := compileWhole(pattern); err != nil {
		return &optionError{"account_pattern", err}
	}
	if reason := clientControlledFault(account); reason != "" {
		return &optionError{"account", errors.New(reason)}
	}
	switch {
	case account == "" || onePlaceholder(account):
		return nil
	case account != organization:
		if _, err := tokensource.ParseAccountID(account); err != nil {
			return &optionError{"account", errors.New("is neither a placeholder, nor the word organization, nor an account id")}
		}
	}
	if pattern != "" {
		return &optionError{"account_pattern", errors.New("is for a placeholder, and account is none")}
	}
	return nil
}

// onePlaceholder reports whether text is a placeholder, and nothing else.
func onePlaceholder(text string) bool {
	return len(text) > 2 && text[0] == '{' && strings.IndexByte(text, '}') == len(text)-1 && strings.LastIndexByte(text, '{') == 0
}

// trustedPlaceholders are the placeholders about a request that are not for its
// client to choose: the certificate, as far as client_auth has it verified.
var trustedPlaceholders = []string{"{http.request.tls.client.", "{http.request.remote."}

// clientControlledFault returns why a placeholder is no account: its value is
// what a client says, and not what authentication has proved.
func clientControlledFault(account string) string {
	is := func(prefix string) bool { return strings.HasPrefix(account, prefix) }
	switch {
	case is("{http.request.header."):
		return "is a header, which a client may have set: spell it out with account_header, and a pattern"
	case is("{http.regexp."), is("{http.request.") && !slices.ContainsFunc(trustedPlaceholders, is):
		return "is what a client says, not what authentication has proved; use a placeholder such as {http.auth.user.id}, or map one"
	}
	return ""
}

// compileWhole returns a pattern that is to match a whole value, or nil if it
// is empty.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	if _, err := regexp.Compile(pattern); err != nil { // By itself: with what follows, a)|(b would be one.
		return nil, fmt.Errorf("is not a regular expression: %w", err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// isSet reports whether a says anything.
func (a accountRule) isSet() bool {
	return a.placeholder != "" || a.fixed != (tokensource.Account{})
}

// accountFor returns the account of the request that repl belongs to. Errors
// are denials.
func (a accountRule) accountFor(repl *caddy.Replacer) (tokensource.Account, error) {
	if a.fixed != (tokensource.Account{}) {
		return a.fixed, nil
	}
	value, err := repl.ReplaceFunc(a.placeholder, func(_ string, value any) (any, error) {
		if number, ok := value.(float64); ok && number >= firstInexactInteger {
			return nil, middleware.ErrForbidden
		}
		return value, nil
	})
	if err != nil || a.pattern != nil && !a.pattern.MatchString(value) {
		return tokensource.Account{}, middleware.ErrForbidden
	}
	account, err := tokensource.ParseAccountID(value)
	if err != nil || a.isRounded != nil && a.isRounded(value) {
		return tokensource.Account{}, middleware.ErrForbidden
	}
	return account, nil
}
