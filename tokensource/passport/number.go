// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// maxExpiresIn is the longest lifetime in seconds that counts as valid: a day.
// Pismo's tokens live for minutes. A larger number is in milliseconds, is a
// date, or means "never".
const maxExpiresIn = 24 * 60 * 60

// seconds returns the lifetime of a token. The values are numbers, or strings
// that hold a number (OpenID answers "3600"). It ignores invalid values. It
// returns the shortest valid lifetime, or 0 for unknown.
func seconds(values []json.RawMessage) time.Duration {
	life := time.Duration(0)
	for _, value := range values {
		text := string(value)
		if value[0] == '"' {
			text = strings.TrimSpace(stringOf(value))
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !isNumeral(text) || n < 1 || n > maxExpiresIn {
			continue
		}
		if d := time.Duration(n * float64(time.Second)); life == 0 || d < life {
			life = d
		}
	}
	return life
}

// identifier returns the id of the account that the values name, or "". Null,
// booleans, empty strings and 0 do not name an account. An array or an object
// that holds a single value stands for that value. identifier returns an error
// if it cannot read the id, since the id might be another account's.
func identifier(values []json.RawMessage, form func(string) string) (string, error) {
	found := ""
	for _, value := range values {
		id, err := scalar(value, 0)
		if err != nil {
			return "", err
		}
		if id = form(id); id == "" || id == "0" {
			continue
		}
		if found != "" && found != id {
			return "", errAccountID
		}
		found = id
	}
	return found, nil
}

// maxDepth is the number of arrays and objects around an id that scalar opens.
const maxDepth = 3

// scalar returns the text of a string or a number. The value is the string or
// the number, or an array or object that holds nothing else.
func scalar(value json.RawMessage, depth int) (string, error) {
	switch string(value) {
	case "null", "true", "false":
		return "", nil
	}
	inner, ok := elementsOf(value)
	if fields, isObject := fieldsOf(value); isObject {
		ok = true
		for _, field := range fields {
			inner = append(inner, field...)
		}
	}
	switch {
	case !ok:
		if value[0] == '"' {
			return stringOf(value), nil
		}
		return string(value), nil
	case len(inner) == 0:
		return "", nil
	case len(inner) == 1 && depth < maxDepth:
		return scalar(inner[0], depth+1)
	}
	return "", errAccountID
}

func rawText(id string) string { return id }

// integer returns the canonical form of an integer, so that 4711, 4711.0,
// 4.711e3 and 004711 are the same id. It returns other text unchanged: such an
// id differs from that of every account with an integer id.
func integer(id string) string {
	id = strings.TrimSpace(id)
	f, err := strconv.ParseFloat(id, 64)
	switch {
	case err != nil, !isNumeral(id), math.Abs(f) >= 1e20: // Ids have 19 digits at most.
		return id
	case f == 0:
		if mantissa, _, _ := strings.Cut(strings.ToLower(id), "e"); strings.Trim(mantissa, "+-.0") == "" {
			return "0"
		}
		return id // The number is not 0, but too small for a float64.
	case math.Abs(f) < 1:
		return id
	}
	exact, ok := new(big.Rat).SetString(id)
	if !ok || !exact.IsInt() {
		return id
	}
	return exact.Num().String()
}

// isNumeral reports whether text has only characters of a decimal numeral.
// The packages strconv and math/big also read "Inf", "0x10" and "1_000".
func isNumeral(text string) bool { return strings.Trim(text, "0123456789.eE+-") == "" }
