// SPDX-License-Identifier: Apache-2.0

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

// organization is the word for the account of the whole organization. The
// configuration must spell it out: the value of a placeholder never counts as
// this word.
const organization = "organization"

// An accountRule determines the account of a request. The zero accountRule
// determines no account.
type accountRule struct {
	fixed       tokensource.Account // if not zero, the account of every request
	placeholder string
	pattern     *regexp.Regexp // or nil
	isRounded   func(id string) bool
}

// newAccountRule returns the accountRule of the options account and
// account_pattern.
func newAccountRule(account, pattern string) (accountRule, error) {
	if account == "" && pattern != "" {
		return accountRule{}, &optionError{"account_pattern", errors.New("has no effect without account")}
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

// checkAccount returns the fault in the options account and account_pattern. An
// option that is not set is not a fault.
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
		return &optionError{"account_pattern", errors.New("applies to a placeholder, and account is not a placeholder")}
	}
	return nil
}

// onePlaceholder reports whether text is exactly one placeholder.
func onePlaceholder(text string) bool {
	return len(text) > 2 && text[0] == '{' && strings.IndexByte(text, '}') == len(text)-1 && strings.LastIndexByte(text, '{') == 0
}

// trustedPlaceholders are the placeholders of a request that the client cannot
// choose: those of the certificate, if client_auth verifies it.
var trustedPlaceholders = []string{"{http.request.tls.client.", "{http.request.remote."}

// clientControlledFault returns the fault of a placeholder that a client
// controls. Such a placeholder cannot name the account: authentication has not
// proved its value.
func clientControlledFault(account string) string {
	is := func(prefix string) bool { return strings.HasPrefix(account, prefix) }
	switch {
	case is("{http.request.header."):
		return "is a header that a client may set: use account_header with a pattern"
	case is("{http.regexp."), is("{http.request.") && !slices.ContainsFunc(trustedPlaceholders, is):
		return "is a value that the client controls, without proof from authentication: use a placeholder such as {http.auth.user.id}, or map one"
	}
	return ""
}

// compileWhole returns a regexp that matches whole values only, or nil if the
// pattern is empty.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	if _, err := regexp.Compile(pattern); err != nil { // Compiled alone: in a group, a)|(b would be valid.
		return nil, fmt.Errorf("is not a regular expression: %w", err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// isSet reports whether a determines an account.
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
