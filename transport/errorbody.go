package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
)

// An errorBody is what a body of an error says, in whichever of the platform's
// forms: {code,message,details}, {error_code,message}, {message},
// {correlationId,errors[]}.
type errorBody struct {
	// fromGateway says that the body is empty, a text, or a message and nothing
	// else: a gateway refuses a token so. A timestamp or a path beside the
	// message is the sign of an application, which may have refused the request.
	fromGateway bool
	codes       []string // in capitals
}

// parse reads the body, if it is complete.
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
	case body[0] != '{' && body[0] != '[': // JSON that breaks off may have lost its code.
		e.fromGateway = e.readText(string(body))
	}
	return e
}

// readObject finds the error codes of a JSON object, and of its errors if it is
// the outermost. It reports whether the object has a message in words and nothing
// else. It reads field by field: if a name stands there twice, both values count.
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

// jsonString returns a JSON string, and whether value is one; null is an empty one.
// A number is no code that is known.
func jsonString(value []byte) (text string, ok bool) {
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// readErrors finds the error codes of an object, or of those of an array.
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

// readText finds the codes of refusals by the business in what is not JSON: XML,
// forms, JSON with something in front of it, and messages into which a gateway
// has put the answer of an application. It reports whether the text is a
// gateway's: words, or the page with which a web server says 401.
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

// isEncoded reports whether a text is another one in percent encoding, or JSON in
// base64, in which an API gateway passes on what it takes for binary.
func isEncoded(text string) bool {
	if decoded, err := url.PathUnescape(text); err == nil && decoded != text {
		return true
	}
	text = strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(strings.Join(strings.Fields(text), ""))
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil && json.Valid(decoded)
}

// isCodeSeparator reports whether no error code has r.
func isCodeSeparator(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// isStructural reports whether r is a sign of structure: of JSON, of XML, or of
// what is no text at all.
func isStructural(r rune) bool {
	return strings.ContainsRune("{}[]<>", r) || !unicode.IsPrint(r) && !unicode.IsSpace(r)
}

// verdict returns what the codes say, and whether they say anything. If they
// contradict each other, nothing is replayed.
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
