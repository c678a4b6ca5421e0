package passport

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The causes of ErrMalformedResponse that are found in a body. None holds
// anything of it, which is why those of encoding/json are not kept.
var (
	errNoObject  = errors.New("the answer is not a JSON object, and nothing else")
	errNoToken   = errors.New("the answer holds no token")
	errExpiresIn = errors.New("expires_in is not a sensible number of seconds")
	errAccountID = errors.New("an account id is neither a number nor a string")
)

// maxExpiresIn is the longest life in seconds that an answer may promise: ten
// years. More is not a duration but a date, or nonsense.
const maxExpiresIn = 10 * 365 * 24 * 60 * 60

// parse reads the answer of a token endpoint. Passport's two APIs and RFC 6749
// (section 5.1) agree but for names and types, and it takes them all: the token
// is in token or in access_token, numbers may be strings. A name counts only as
// it is spelled: to a struct, encoding/json would assign "TOKEN" as well. Other
// fields are ignored; refresh, which nothing documented takes, is not kept.
func parse(body []byte) (tokensource.Grant, error) {
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return tokensource.Grant{}, errNoObject
	}
	token, err := tokenOf(answer)
	if err != nil {
		return tokensource.Grant{}, err
	}
	expiresIn, err := seconds(answer["expires_in"])
	if err != nil {
		return tokensource.Grant{}, err
	}
	accountID, err := identifier(answer["account_id"])
	if err != nil {
		return tokensource.Grant{}, err
	}
	externalID, err := identifier(answer["external_account_id"])
	if err != nil {
		return tokensource.Grant{}, err
	}
	return tokensource.Grant{
		Token:             tokensource.NewSecret(token),
		ExpiresIn:         expiresIn,
		AccountID:         accountID,
		ExternalAccountID: externalID,
	}, nil
}

func tokenOf(answer map[string]json.RawMessage) (string, error) {
	for _, name := range []string{"token", "access_token"} {
		token, err := text(answer[name])
		if err != nil {
			return "", errNoToken
		}
		if token != "" {
			return token, nil
		}
	}
	return "", errNoToken
}

// seconds reads a duration; one that is absent or null is 0.
func seconds(raw json.RawMessage) (time.Duration, error) {
	if absent(raw) {
		return 0, nil
	}
	var number json.Number // Which takes a number in a string, too.
	if err := json.Unmarshal(raw, &number); err != nil {
		return 0, errExpiresIn
	}
	n, err := number.Float64()
	if err != nil || n > maxExpiresIn {
		return 0, errExpiresIn
	}
	d := time.Duration(n * float64(time.Second))
	if d <= 0 {
		return 0, errExpiresIn
	}
	return d, nil
}

// identifier reads an account's id, from a number or a string, to the last
// digit. It is "" if it names no account: absent, null, 0 or empty.
func identifier(raw json.RawMessage) (string, error) {
	id, err := text(raw)
	if err != nil {
		var number json.Number
		if err := json.Unmarshal(raw, &number); err != nil {
			return "", errAccountID
		}
		id = number.String()
	}
	if id == "0" {
		return "", nil
	}
	return id, nil
}

// text reads a string; one that is absent or null is empty.
func text(raw json.RawMessage) (string, error) {
	if absent(raw) {
		return "", nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
