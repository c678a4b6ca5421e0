// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestSafeError_SaysWhatToDo(t *testing.T) {
	secret := errors.New(sentinel)
	fault := &tokensource.ConfigError{Field: "S2S.BaseURL", Reason: "is not set"}
	for name, tt := range map[string]struct {
		cause error
		want  string
	}{
		"explained":          {tokensource.SafeError("the environment variable PISMO_SERVER_KEY is not set", nil), ": the environment variable PISMO_SERVER_KEY is not set"},
		"explained, wrapped": {fmt.Errorf(sentinel+": %w", tokensource.SafeError("connection refused", secret)), ": connection refused"},
		"with a secret":      {tokensource.SafeError("connection refused", secret), ": connection refused"},
		"a fault":            {fault, ": S2S.BaseURL: is not set"},
		"several faults":     {errors.Join(fault, &tokensource.ConfigError{Field: "S2S.Header", Reason: "is odd"}), ": S2S.BaseURL: is not set: S2S.Header: is odd"},
		"a plain cause":      {secret, ""},
		"none":               {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := tokensource.NewError(tokensource.ErrMisconfigured, tt.cause)
			if want := tokensource.ErrMisconfigured.Error() + tt.want; err.Error() != want {
				t.Errorf("got  %q\nwant %q", err, want)
			}
			if text := tokensource.SafeText(tt.cause); text != strings.TrimPrefix(tt.want, ": ") {
				t.Errorf("the safe text is %q, want %q", text, tt.want)
			}
			if tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Error("errors.Is does not find the cause")
			}
			wantHidden(t, "the error", err, sentinel)
			type fields struct{ err error }
			wantHidden(t, "a struct with it", fields{err}, sentinel)
		})
	}
}

// A retrying caller needs to know whether and when to call again.
func TestIsPermanent_DependsOnTheKind(t *testing.T) {
	permanent := map[tokensource.ErrorKind]bool{
		tokensource.ErrCredentialsRejected: true,
		tokensource.ErrAccountRejected:     true,
		tokensource.ErrAccountMismatch:     true,
		tokensource.ErrIssuerPanic:         true,
		tokensource.ErrMisconfigured:       true,
	}
	for kind := range kinds {
		e := tokensource.NewError(kind, nil)
		e.RetryAfter = time.Second
		err := fmt.Errorf("wrapped: %w", e)
		if got := tokensource.IsPermanent(err); got != permanent[kind] {
			t.Errorf("%s: permanent is %v, want %v", kind, got, permanent[kind])
		}
		wait, ok := tokensource.RetryAfter(err)
		if ok == permanent[kind] || ok && wait != time.Second {
			t.Errorf("%s: RetryAfter returns %v, wait %v, want 1s unless the kind is permanent", kind, ok, wait)
		}
		if strings.Contains(err.Error(), "retry after") == permanent[kind] {
			t.Errorf("%s: the text and the kind differ about a retry: %q", kind, err)
		}
	}
	if !tokensource.IsPermanent(&tokensource.ConfigError{}) {
		t.Error("a ConfigError is not permanent")
	}
	for _, err := range []error{nil, errors.New("connection reset")} {
		if _, ok := tokensource.RetryAfter(err); ok || tokensource.IsPermanent(err) {
			t.Errorf("%v: IsPermanent or RetryAfter is true for an error of another package", err)
		}
	}
}
