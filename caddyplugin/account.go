package caddyplugin

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
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
}

// newAccountOf returns the accountOf of the options account and
// account_pattern.
func newAccountOf(account, pattern string) (accountOf, error) {
	if account == "" && pattern != "" {
		return accountOf{}, &fault{"account_pattern", errors.New("is of no use without account")}
	}
	if pattern != "" && !onePlaceholder(account) {
		return accountOf{}, &fault{"account_pattern", errors.New("is for a placeholder, and account is none")}
	}
	if account == organization {
		return accountOf{fixed: tokensource.Organization()}, nil
	}
	if reason := clientChosen(account); reason != "" {
		return accountOf{}, &fault{"account", errors.New(reason)}
	}
	if account != "" && !onePlaceholder(account) {
		fixed, err := tokensource.ParseAccountID(account)
		if err != nil {
			return accountOf{}, &fault{"account", errors.New("is neither a placeholder, nor the word organization, nor an account id")}
		}
		return accountOf{fixed: fixed}, nil
	}
	compiled, err := compile(pattern)
	if err != nil {
		return accountOf{}, &fault{"account_pattern", err}
	}
	return accountOf{placeholder: account, pattern: compiled}, nil
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
	value, err := repl.ReplaceOrErr(a.placeholder, true, true)
	if err != nil || a.pattern != nil && !a.pattern.MatchString(value) {
		return tokensource.Account{}, middleware.ErrForbidden
	}
	account, err := tokensource.ParseAccountID(value)
	if err != nil || rounded(value) {
		return tokensource.Account{}, middleware.ErrForbidden
	}
	return account, nil
}

// rounded reports whether an id may be another that has been through a float64,
// as the directive map sends what is not quoted there. From 2^53 on that changes
// digits, and names another account.
func rounded(id string) bool {
	number, err := strconv.ParseFloat(id, 64)
	return err == nil && number >= 1<<53 && strconv.FormatFloat(number, 'f', -1, 64) == id
}
