// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

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
		[]error{baseURLFault("S2S", s.BaseURL, s.DangerouslyAllowHTTP)},
		s.checkCredentials(),
		headerFaults("S2S", s.Header),
		s.checkFields(),
	)...)
}

// fault returns the error for a faulty field of S2S.
func fault(field, reason string) error { return faultOf("S2S", field, reason) }

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
