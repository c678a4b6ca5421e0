package passport

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pismoauth/pismoauth/internal/loopback"
	"github.com/pismoauth/pismoauth/tokensource"
)

// Validate reports every fault of the fields (of BaseURL the first), as
// [*tokensource.ConfigError] values joined by errors.Join. It returns nil if
// there is no fault. It sends no request, and reads no environment variable and
// no file, since these may appear later. No fault repeats a value.
// [tokensource.New] calls Validate.
func (s *S2S) Validate() error {
	if s == nil {
		return &tokensource.ConfigError{Field: "S2S", Reason: "is nil; set its BaseURL and Credentials"}
	}
	return errors.Join(slices.Concat(
		[]error{s.checkBaseURL()},
		s.checkCredentials(),
		s.checkHeader(),
		s.checkFields(),
	)...)
}

// fault returns the error for a faulty field of S2S.
func fault(field, reason string) error {
	return &tokensource.ConfigError{Field: "S2S." + field, Reason: reason}
}

// checkBaseURL returns the first fault of the BaseURL. The fault does not quote
// the URL, since the URL may hold a misplaced secret.
func (s *S2S) checkBaseURL() error {
	if s.BaseURL == "" {
		return fault("BaseURL", `is not set; the sandbox is "https://sandbox.pismolabs.io"`)
	}
	u, err := url.Parse(s.BaseURL)
	if err != nil {
		return fault("BaseURL", "is not a URL")
	}
	var reason string
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		reason = `does not begin with "https://"`
	case u.Hostname() == "":
		reason = "has no host"
	case !s.mayUse(u):
		reason = `scheme "http" would send the credentials in the clear; use "https"`
	case u.User != nil:
		reason = "holds user info; set S2S.Credentials instead"
	case strings.ContainsAny(s.BaseURL, "?#"):
		reason = "has a query or a fragment; remove it"
	case strings.Contains(u.Path+"/", "/passport/"):
		reason = `holds "/passport", which S2S adds itself; remove it`
	default:
		return nil
	}
	return fault("BaseURL", reason)
}

// mayUse reports whether S2S may send credentials with the scheme of u.
func (s *S2S) mayUse(u *url.URL) bool {
	return u.Scheme == "https" || s.DangerouslyAllowHTTP || loopback.Is(u.Hostname())
}

func (s *S2S) checkCredentials() (faults []error) {
	const reason = "is not set; use StaticCredentials, EnvCredentials or FileCredentials, with arguments that are not empty"
	if s.Credentials.Key == nil {
		faults = append(faults, fault("Credentials.Key", reason))
	}
	if s.Credentials.Secret == nil {
		faults = append(faults, fault("Credentials.Secret", reason))
	}
	if sameField(s.SecretField, fieldKey) || sameField(s.SecretField, fieldAccount) {
		faults = append(faults, fault("SecretField", "names another field of the request; leave it empty for "+defaultSecretField))
	}
	return faults
}

func (s *S2S) checkHeader() (faults []error) {
	for _, name := range slices.Sorted(maps.Keys(s.Header)) {
		field := "Header[" + strconv.Quote(name) + "]"
		switch {
		case !isToken(name):
			faults = append(faults, fault(field, "is not the name of a header field"))
		case isReserved(name):
			faults = append(faults, fault(field, "is reserved for the framing, format and authentication of the request; remove it"))
		case slices.ContainsFunc(s.Header[name], hasControl):
			faults = append(faults, fault(field, "holds a control character"))
		}
	}
	return faults
}

func (s *S2S) checkFields() (faults []error) {
	for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
		field := "Fields[" + strconv.Quote(name) + "]"
		if sameField(name, fieldKey) || sameField(name, fieldAccount) || sameField(name, s.secretField()) {
			faults = append(faults, fault(field, "is a field that S2S sets itself; remove it"))
		} else if _, err := json.Marshal(s.Fields[name]); err != nil {
			faults = append(faults, fault(field, "cannot be encoded as JSON"))
		}
	}
	return faults
}

// sameField reports whether two fields of a JSON object are the same for a
// parser that ignores case, such as Go's.
func sameField(a, b string) bool { return strings.EqualFold(a, b) }

// isReserved reports whether a header field must not be in S2S.Header. S2S or
// net/http sets some of these fields. The others would make the answer
// unreadable (Accept-Encoding), change the framing of the request, or
// authenticate it twice.
func isReserved(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Encoding",
		"Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isToken reports whether s is a token. The names of header fields are tokens
// (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// hasControl reports whether s holds a control character other than the tab.
// The value of a header field must not hold one (RFC 9110, section 5.5).
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
