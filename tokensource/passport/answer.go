// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The causes of ErrMalformedResponse that are found in the text of an answer.
// They hold no part of the answer. The errors of encoding/json do, and are
// dropped.
var (
	errNoBody    = errors.New("the answer has no body, check the base URL")
	errNoObject  = errors.New("the answer is not a JSON object, check the base URL")
	errNoToken   = errors.New("the answer has no token")
	errTwoTokens = errors.New("the answer has two different tokens")
	errAccountID = errors.New("the answer has an account id that cannot be read")
)

// parse parses the text of a token endpoint's answer. The answers of Passport's
// two APIs and of RFC 6749 (section 5.1) differ only in names and types. parse
// accepts all of them: the token is in token or in access_token, and numbers
// may be strings. Names are case-sensitive. parse ignores other fields. Among
// these is refresh, since no documented request uses it.
//
// parse returns an error only if the answer has no token, or more than one, or
// an account id that it cannot read and that might be another account's.
func parse(text []byte, account tokensource.AccountKind) (tokensource.Grant, error) {
	if len(text) == 0 {
		return tokensource.Grant{}, errNoBody
	}
	answer, ok := objectOf(text)
	if !ok {
		return tokensource.Grant{}, errNoObject
	}
	token, err := tokenOf(answer)
	if err != nil {
		return tokensource.Grant{}, err
	}
	grant := tokensource.Grant{
		Token:     tokensource.NewSecret(token),
		ExpiresIn: seconds(answer["expires_in"]),
	}
	// A Source compares ids of the same kind only. For the organization, an id
	// of either kind is a mismatch.
	if account != tokensource.KindExternalAccount {
		if grant.AccountID, err = identifier(answer["account_id"], integer); err != nil {
			return tokensource.Grant{}, err
		}
	}
	if account != tokensource.KindAccount {
		if grant.ExternalAccountID, err = identifier(answer["external_account_id"], rawText); err != nil {
			return tokensource.Grant{}, err
		}
	}
	return grant, nil
}

// An object holds the fields of a JSON object. It has all values of each name,
// since a name may occur more than once (RFC 8259, section 4).
type object map[string][]json.RawMessage

// objectOf parses a text that is a JSON object, or an array with a single
// object. It ignores bytes after the object, but refuses a text with a second
// object.
func objectOf(text []byte) (object, bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return nil, false
	}
	if bytes.IndexByte(text[decoder.InputOffset():], '{') >= 0 {
		return nil, false
	}
	if elements, ok := elementsOf(value); ok && len(elements) == 1 {
		value = elements[0]
	}
	return fieldsOf(value)
}

// fieldsOf returns the fields of value, and whether it is an object.
func fieldsOf(value json.RawMessage) (object, bool) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, false
	}
	fields := object{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var field json.RawMessage
		if err := decoder.Decode(&field); err != nil {
			return nil, false
		}
		fields[name.(string)] = append(fields[name.(string)], field)
	}
	return fields, true
}

// elementsOf returns the elements of value, and whether it is an array.
func elementsOf(value json.RawMessage) (elements []json.RawMessage, ok bool) {
	err := json.Unmarshal(value, &elements)
	return elements, err == nil && !isNull(value)
}

// tokenOf returns the token: the only nonempty string in token. If token has
// none, it is the only nonempty string in access_token.
func tokenOf(answer object) (string, error) {
	for _, name := range []string{"token", "access_token"} {
		found := ""
		for _, value := range answer[name] {
			token := stringOf(value)
			switch {
			case token == "":
			case found != "" && token != found:
				return "", errTwoTokens
			default:
				found = token
			}
		}
		if found != "" {
			return found, nil
		}
	}
	return "", errNoToken
}

// stringOf returns the string that value holds, or "" if value is not a string.
func stringOf(value json.RawMessage) string {
	var s string
	_ = json.Unmarshal(value, &s)
	return s
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }
