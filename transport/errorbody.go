// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
)

// An errorBody is the information in the body of an error, in any of the
// platform's forms: {code,message,details}, {error_code,message}, {message},
// {correlationId,errors[]}.
type errorBody struct {
	// fromGateway means that the body is empty, a text, or a message and
	// nothing else. Gateways refuse a token with such bodies. A timestamp
	// or a path beside the message indicates an application, which may have
	// refused the request.
	fromGateway bool
	codes       []string // in capitals
}

// parse reads the body if it is complete.
func (r *Refusal) parse() errorBody {
	var e errorBody
	body := bytes.TrimSpace(bytes.TrimPrefix(r.Body, []byte("\ufeff")))
	switch {
	case !r.Complete:
	case len(body) == 0:
		e.fromGateway = true
	case json.Valid(body) && body[0] == '{':
		e.fromGateway = e.readObject(body, true)
	case json.Valid(body):
		e.readErrors(body)
	case body[0] != '{' && body[0] != '[': // Truncated JSON may have lost its code.
		e.fromGateway = e.readText(string(body))
	}
	return e
}

// readObject collects the error codes of a JSON object, and those of its errors
// if outermost is true. It reports whether the object has a message in words
// and nothing else. It reads field by field, so that both values of a repeated
// name count.
func (e *errorBody) readObject(object []byte, outermost bool) (onlyMessage bool) {
	fields := json.NewDecoder(bytes.NewReader(object))
	_, _ = fields.Token() // The opening brace; the object is known to be valid.
	others := 0
	for fields.More() {
		var value json.RawMessage
		name, _ := fields.Token()
		_ = fields.Decode(&value)
		text, isText := jsonString(value)
		switch strings.ToLower(name.(string)) {
		case "message":
			if isText && e.readText(text) && !onlyMessage {
				onlyMessage = true
				continue
			}
		case "code", "error_code", "errorcode":
			e.codes = append(e.codes, strings.ToUpper(strings.TrimSpace(text)))
		case "errors", "error":
			if outermost {
				e.readErrors(value)
			}
		}
		others++
	}
	return onlyMessage && others == 0
}

// jsonString returns a JSON string, and whether value is a JSON string. It
// returns "" for null.
func jsonString(value []byte) (text string, ok bool) {
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// readErrors collects the error codes of an object, or of the objects in an
// array.
func (e *errorBody) readErrors(value []byte) {
	var elements []json.RawMessage
	if json.Unmarshal(value, &elements) != nil {
		elements = []json.RawMessage{value}
	}
	for _, element := range elements {
		if element = bytes.TrimSpace(element); len(element) > 0 && element[0] == '{' {
			e.readObject(element, false)
		}
	}
}

// readText collects the codes of business refusals from a text that is not
// JSON: XML, a form, JSON with a prefix, or a message into which a gateway has
// put an application's response. It reports whether the text comes from a
// gateway: words, or the HTML page of a web server for 401.
func (e *errorBody) readText(text string) bool {
	for word := range strings.FieldsFuncSeq(strings.ToUpper(text), isCodeSeparator) {
		if verdict, ok := knownCodes[word]; ok && verdict != TokenRefused {
			e.codes = append(e.codes, word)
		}
	}
	lower := strings.ToLower(text)
	if strings.HasPrefix(lower, "<!doctype html") || strings.HasPrefix(lower, "<html") {
		return strings.Contains(lower, "401") || strings.Contains(lower, "unauthorized")
	}
	return !strings.HasPrefix(text, `"`) && !strings.ContainsFunc(text, isStructural) && !isEncoded(text)
}

// isEncoded reports whether a text is in percent encoding, or is JSON in
// base64. An API gateway encodes a response so if it takes the response for
// binary data.
func isEncoded(text string) bool {
	if decoded, err := url.PathUnescape(text); err == nil && decoded != text {
		return true
	}
	text = strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(strings.Join(strings.Fields(text), ""))
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil && json.Valid(decoded)
}

// isCodeSeparator reports whether r cannot be part of an error code.
func isCodeSeparator(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// isStructural reports whether r is a sign of JSON, of XML, or of binary data.
func isStructural(r rune) bool {
	return strings.ContainsRune("{}[]<>", r) || !unicode.IsPrint(r) && !unicode.IsSpace(r)
}

// verdict returns the verdict that the codes imply, and whether they imply one.
// If the codes contradict each other, a verdict other than TokenRefused wins,
// so that nothing is replayed.
func (e *errorBody) verdict() (verdict Verdict, ok bool) {
	for _, code := range e.codes {
		if known, ok := knownCodes[code]; ok && known != TokenRefused {
			return known, true
		} else if ok {
			verdict = known
		}
	}
	return verdict, verdict != ""
}
