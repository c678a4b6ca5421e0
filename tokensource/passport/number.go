package passport

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// maxExpiresIn is the longest life in seconds that an answer may promise: a day.
// Pismo's tokens live for minutes. A larger number is one of milliseconds, a
// date, or "never", and tells nothing.
const maxExpiresIn = 24 * 60 * 60

// seconds reads the life of a token, out of numbers or of strings that hold one
// (OpenID answers "3600"). It is 0, for unknown, if there is none that makes
// sense, and the shortest if there are several.
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

// identifier reads an account's id, "" if none is named. Null, booleans, empty
// strings and 0 name none. An array or an object that holds one value only
// stands for that value. It is an error if the id cannot be told, as that may be
// another account's.
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

// maxDepth is how deep in arrays and objects an id is looked for.
const maxDepth = 3

// scalar returns the text of the string or of the number that value is, or that
// is the only thing in it.
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
// 4.711e3 and 004711 are one id. Text that is no integer is returned as it is:
// it names another account than any integer does.
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
		return id // Too small for a float.
	case math.Abs(f) < 1:
		return id
	}
	exact, ok := new(big.Rat).SetString(id)
	if !ok || !exact.IsInt() {
		return id
	}
	return exact.Num().String()
}

// isNumeral reports whether text has the characters of a decimal numeral only.
// The packages strconv and math/big also read "Inf", "0x10" and "1_000".
func isNumeral(text string) bool { return strings.Trim(text, "0123456789.eE+-") == "" }
