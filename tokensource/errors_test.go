// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// kinds is the closed list of kinds. Dashboards and alerts name the kinds: a
// change here breaks them.
var kinds = map[tokensource.ErrorKind]string{
	tokensource.ErrCredentialsRejected: "credentials_rejected",
	tokensource.ErrAccountRejected:     "account_rejected",
	tokensource.ErrAccountMismatch:     "account_mismatch",
	tokensource.ErrRateLimited:         "rate_limited",
	tokensource.ErrUnavailable:         "unavailable",
	tokensource.ErrTimeout:             "timeout",
	tokensource.ErrMalformedResponse:   "malformed_response",
	tokensource.ErrOverloaded:          "overloaded",
	tokensource.ErrRenewalLimited:      "renewal_limited",
	tokensource.ErrIssuerPanic:         "issuer_panic",
	tokensource.ErrCanceled:            "canceled",
	tokensource.ErrMisconfigured:       "misconfigured",
}

// textsOf returns every text that printing, logging or marshalling a value can
// produce.
func textsOf(value any) []string {
	var texts []string
	for _, verb := range "vsqxXdtfpcUeGobT" {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "60", "40.30"} {
			texts = append(texts, fmt.Sprintf("%"+flags+string(verb), value))
		}
	}
	texts = append(texts, fmt.Sprint(value), fmt.Sprintln(value))
	if text, err := json.Marshal(value); err == nil {
		texts = append(texts, string(text))
	}
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var log bytes.Buffer
		logger := slog.New(handler(&log))
		logger.Info("logged", "value", value, slog.Group("group", "value", value))
		logger.With("value", value).Info("logged")
		texts = append(texts, log.String())
	}
	return texts
}

// wantHidden fails the test if a printed form of a value shows one of parts, in
// plain text or in hexadecimal.
func wantHidden(t *testing.T, what string, value any, part string) {
	t.Helper()
	for _, text := range textsOf(value) {
		if strings.Contains(text, part) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", part)) {
			t.Errorf("%s shows %q: %.400s", what, part, text)
			return
		}
	}
}

func TestError_IsItsKind(t *testing.T) {
	for kind, text := range kinds {
		err := fmt.Errorf("wrapped: %w", tokensource.NewError(kind, context.Canceled))
		if !errors.Is(err, kind) {
			t.Errorf("errors.Is does not find the kind %q of an error", kind)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("errors.Is does not find the cause of an error of kind %q", kind)
		}
		if e, ok := errors.AsType[*tokensource.Error](err); !ok || e.Kind != kind || e.ErrorType() != text {
			t.Errorf("kind %q: got %v, type %q", kind, e, e.ErrorType())
		}
		for other := range kinds {
			if other != kind && errors.Is(err, other) {
				t.Errorf("an error of kind %q also matches kind %q", kind, other)
			}
		}
	}
}

func TestError_WithoutACause(t *testing.T) {
	err := tokensource.NewError(tokensource.ErrTimeout, nil)
	if got := errors.Unwrap(err); got != nil {
		t.Errorf("it unwraps to %v", got)
	}
	cause := errors.New("some cause")
	if got := errors.Unwrap(tokensource.NewError(tokensource.ErrTimeout, cause)); got != cause {
		t.Errorf("it unwraps to %v, want its cause", got)
	}
}

func TestError_Timeout(t *testing.T) {
	for kind := range kinds {
		err := error(tokensource.NewError(kind, nil))
		timeout, ok := err.(interface{ Timeout() bool })
		if !ok || timeout.Timeout() != (kind == tokensource.ErrTimeout) {
			t.Errorf("kind %q: Timeout() is %v, want %v", kind, timeout.Timeout(), kind == tokensource.ErrTimeout)
		}
	}
}

func TestError_TextIsSafe(t *testing.T) {
	for kind := range kinds {
		if !strings.HasPrefix(kind.Error(), "pismoauth: ") || kind.Error() == "pismoauth: "+string(kind) {
			t.Errorf("kind %q has no explanation: %q", kind, kind.Error())
		}
	}
	err := tokensource.NewError(tokensource.ErrRateLimited, nil)
	err.StatusCode, err.RetryAfter = 429, 1500*time.Microsecond+7*time.Second
	const want = "pismoauth: the token endpoint limits the rate of requests (status 429, retry after 7.002s)"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err.Error(), want)
	}
}

func TestError_CauseIsFoundButNotShown(t *testing.T) {
	cause := &url.Error{
		Op:  "Post",
		URL: "https://user:" + sentinel + "@host/path?secret=" + sentinel,
		Err: &net.DNSError{Err: sentinel, Name: sentinel},
	}
	err := tokensource.NewError(tokensource.ErrUnavailable, cause)
	err.CorrelationID = "cid-1"
	type fields struct {
		Err   error
		err   error
		plain *tokensource.Error
		value tokensource.Error
	}
	nested := fields{err, err, err, *err}
	for what, value := range map[string]any{
		"the error":             err,
		"its value":             *err,
		"a wrapped error":       fmt.Errorf("wrapped: %w", err),
		"a struct":              nested,
		"a pointer to a struct": &nested,
		"a slice":               []error{err},
	} {
		wantHidden(t, what, value, sentinel)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || dns.Name != sentinel {
		t.Error("the cause is not found")
	}
}

func TestError_IssuersErrorsGetAKind(t *testing.T) {
	var typedNil *tokensource.Error
	rejected := tokensource.NewError(tokensource.ErrAccountRejected, nil)
	rejected.StatusCode, rejected.CorrelationID = 401, "cid-1"
	for name, tt := range map[string]struct {
		err  error
		want tokensource.ErrorKind
	}{
		"an *Error":              {rejected, tokensource.ErrAccountRejected},
		"a wrapped *Error":       {fmt.Errorf("wrapped: %w", rejected), tokensource.ErrAccountRejected},
		"any error":              {errors.New("some text"), tokensource.ErrUnavailable},
		"a deadline":             {fmt.Errorf("post: %w", context.DeadlineExceeded), tokensource.ErrTimeout},
		"a nil *Error":           {typedNil, tokensource.ErrUnavailable},
		"an *Error with no kind": {&tokensource.Error{StatusCode: 500}, tokensource.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				err := wantNoToken(t, newSource(t, failing(tt.err)), acct(t, 1), tt.want)
				if tt.want == tokensource.ErrAccountRejected && (err.StatusCode != 401 || err.CorrelationID != "cid-1") {
					t.Errorf("the status is %d, the correlation id %q", err.StatusCode, err.CorrelationID)
				}
			})
		})
	}
}

func TestConfig_ReportsEveryFault(t *testing.T) {
	_, err := tokensource.New(tokensource.Config{MaxAccounts: -1, MaxIssuances: -1, IssueTimeout: -1})
	wantFaults(t, err, "Config.Issuer", "Config.MaxAccounts", "Config.MaxIssuances", "Config.IssueTimeout")

	issuer := faultyIssuer{errors.Join(
		&tokensource.ConfigError{Field: "S2S.BaseURL", Reason: "is not set"},
		&tokensource.ConfigError{Field: "S2S.Credentials", Reason: "is not set"},
	)}
	_, err = tokensource.New(tokensource.Config{Issuer: issuer, MaxAccounts: -1})
	wantFaults(t, err, "S2S.BaseURL", "S2S.Credentials", "Config.MaxAccounts")
}

// A faultyIssuer is an issuer with an invalid configuration.
type faultyIssuer struct{ fault error }

func (f faultyIssuer) Validate() error { return f.fault }

func (f faultyIssuer) Issue(context.Context, tokensource.Account) (tokensource.Grant, error) {
	panic("a misconfigured issuer was called")
}

func wantFaults(t *testing.T, err error, fields ...string) {
	t.Helper()
	var got []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case *tokensource.ConfigError:
			got = append(got, e.Field)
			if e.Reason == "" || e.Error() != "pismoauth: "+e.Field+": "+e.Reason {
				t.Errorf("a fault of %s reads %q", e.Field, e)
			}
			if !errors.Is(e, tokensource.ErrMisconfigured) {
				t.Errorf("a fault of %s is not of kind misconfigured", e.Field)
			}
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	if !slices.Equal(got, fields) {
		t.Errorf("the faults are in %q, want %q", got, fields)
	}
}

func TestConfig_ZeroIsRefused(t *testing.T) {
	if src, err := tokensource.New(tokensource.Config{}); err == nil || src != nil {
		t.Errorf("got %v, error %v, want an error only", src, err)
	}
}

func TestNew_ContactsNoOne(t *testing.T) {
	d := &fakeIssuer{}
	newSource(t, d)
	wantAsked(t, d, 0)
}
