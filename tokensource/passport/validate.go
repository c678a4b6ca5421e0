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

// Validate reports every fault that can be seen without asking anyone, as
// [*tokensource.ConfigError] values joined by errors.Join; nil if there is
// none. It reads no environment variable and no file, which may come to be
// later. No fault repeats a value. [tokensource.New] calls Validate.
func (s *S2S) Validate() error {
	if s == nil {
		return &tokensource.ConfigError{Field: "S2S", Reason: "is nil; set its BaseURL and Credentials"}
	}
	return errors.Join(slices.Concat(
		[]error{checkBaseURL(s.BaseURL, s.DangerouslyAllowHTTP)},
		s.checkCredentials(),
		s.checkHeader(),
		s.checkFields(),
	)...)
}

// fault returns what is wrong with a field of S2S.
func fault(field, reason string) error {
	return &tokensource.ConfigError{Field: "S2S." + field, Reason: reason}
}

// checkBaseURL returns the first thing that is wrong with a base URL. The URL
// is not quoted: a misplaced secret may be in it.
func checkBaseURL(base string, allowHTTP bool) error {
	u, err := url.Parse(base)
	var reason string
	switch {
	case base == "":
		reason = `is not set; the sandbox is "https://sandbox.pismolabs.io"`
	case err != nil:
		reason = "is not a URL"
	case u.Scheme != "https" && u.Scheme != "http":
		reason = `does not begin with "https://"`
	case u.Hostname() == "":
		reason = "has no host"
	case u.Scheme == "http" && !allowHTTP && !loopback.Is(u.Hostname()):
		reason = `scheme "http" would send the credentials in the clear; use "https"`
	case u.User != nil:
		reason = "holds user info; credentials go into S2S.Credentials"
	case strings.ContainsAny(base, "?#"):
		reason = "has a query or a fragment"
	case strings.Contains(u.Path+"/", "/passport/"):
		reason = `holds "/passport", which S2S adds itself; leave it out`
	default:
		return nil
	}
	return fault("BaseURL", reason)
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
			faults = append(faults, fault(field, "is not yours to set: it decides how the request is framed, understood or authenticated"))
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
			faults = append(faults, fault(field, "is a field that S2S sets itself"))
		} else if _, err := json.Marshal(s.Fields[name]); err != nil {
			faults = append(faults, fault(field, "cannot be encoded as JSON"))
		}
	}
	return faults
}

// sameField reports whether two fields of a JSON object are the same to a parser
// that ignores case, as that of Go does.
func sameField(a, b string) bool { return strings.EqualFold(a, b) }

// isReserved reports whether a header field is set here, by net/http, or by
// nobody: the answer could not be read (Accept-Encoding), the request would be
// framed in another way, or it would be authenticated twice.
func isReserved(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Encoding",
		"Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isToken reports whether s is a token, as the names of header fields are
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

// hasControl reports whether s holds what the value of no header field may: a
// control character other than the tab (RFC 9110, section 5.5).
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
