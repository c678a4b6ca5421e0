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
			if tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Error("the cause is not found")
			}
			wantHidden(t, "the error", err, sentinel)
			type fields struct{ err error }
			wantHidden(t, "a struct with it", fields{err}, sentinel)
		})
	}
}

// Every outer retry asks: is asking again worth it, and when?
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
			t.Errorf("%s: permanent is %v", kind, got)
		}
		wait, ok := tokensource.RetryAfter(err)
		if ok == permanent[kind] || ok && wait != time.Second {
			t.Errorf("%s: asking again makes sense: %v, after %v", kind, ok, wait)
		}
		if strings.Contains(err.Error(), "retry after") == permanent[kind] {
			t.Errorf("the text says when to ask again: %q", err)
		}
	}
	if !tokensource.IsPermanent(&tokensource.ConfigError{}) {
		t.Error("a fault in the configuration is not permanent")
	}
	for _, err := range []error{nil, errors.New("connection reset")} {
		if _, ok := tokensource.RetryAfter(err); ok || tokensource.IsPermanent(err) {
			t.Errorf("%v: nothing is known of it", err)
		}
	}
}
