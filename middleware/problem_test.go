// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// answers maps token errors to answers. It covers failed attempts and
// suppressed attempts.
var answers = []struct {
	kind                        tokensource.ErrorKind
	tried, suppressed           int
	problem, problemSuppressed  string
	retryAfter, retrySuppressed bool // the answer has a Retry-After although the error has none
}{
	{tokensource.ErrCredentialsRejected, 502, 502, "credentials-rejected", "credentials-rejected", false, false},
	{tokensource.ErrAccountRejected, 502, 502, "account-rejected", "account-rejected", false, false},
	{tokensource.ErrAccountMismatch, 502, 502, "account-mismatch", "account-mismatch", false, false},
	{tokensource.ErrMalformedResponse, 502, 502, "malformed-response", "malformed-response", false, false},
	{tokensource.ErrUnavailable, 502, 502, "unavailable", "unavailable", false, false},
	{tokensource.ErrTimeout, 504, 503, "timeout", "timed-out-before", false, true},
	{tokensource.ErrRateLimited, 503, 503, "rate-limited", "rate-limited", true, true},
	{tokensource.ErrOverloaded, 503, 503, "overloaded", "overloaded", true, true},
	{tokensource.ErrRenewalLimited, 503, 503, "renewal-limited", "renewal-limited", true, true},
	{tokensource.ErrCanceled, 503, 503, "canceled", "canceled", true, true},
	{tokensource.ErrIssuerPanic, 500, 500, "internal", "internal", false, false},
	{tokensource.ErrMisconfigured, 500, 500, "misconfigured", "misconfigured", false, false},
	{"made_up", 500, 500, "misconfigured", "misconfigured", false, false},
}

// A suppressed attempt gets another answer than a failed attempt.
func TestProblem_FollowsTokenError(t *testing.T) {
	for _, test := range answers {
		for _, suppressed := range []bool{false, true} {
			for _, retryAfter := range []time.Duration{0, 2500 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s/suppressed=%v/%v", test.kind, suppressed, retryAfter), func(t *testing.T) {
					err := tokensource.NewError(test.kind, errors.New("SENTINEL"))
					err.Suppressed, err.RetryAfter, err.StatusCode, err.CorrelationID = suppressed, retryAfter, 418, "SENTINEL"
					status, name, always := test.tried, test.problem, test.retryAfter
					if suppressed {
						status, name, always = test.suppressed, test.problemSuppressed, test.retrySuppressed
					}
					r := answer(err)
					wantProblem(t, r, status, name)
					want := ""
					if retryAfter > 0 {
						want = "3"
					} else if always {
						want = "1"
					}
					check(t, "Retry-After", r.header.Get("Retry-After"), want)
					check(t, "a sentinel", strings.Contains(fmt.Sprint(r), "SENTINEL"), false)
					if wrapped := answer(fmt.Errorf("more: %w", err)); wrapped.body != r.body {
						t.Errorf("wrapped, it is answered %s", wrapped.body)
					}
				})
			}
		}
	}
}

// answer returns the answer to an error.
func answer(err error) reply {
	return call(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { middleware.AnswerProblem(w, r, err) }),
		httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil))
}

func TestProblem_FollowsOtherErrors(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		name   string
	}{
		{middleware.ErrUnauthenticated, 401, "unauthenticated"},
		{middleware.ErrForbidden, 403, "account-forbidden"},
		{middleware.AuthError("reason of the user"), 403, "account-forbidden"},
		{middleware.ErrMethodNotProxied, 501, "method-not-proxied"},
		{middleware.ErrTokenRefused, 502, "token-refused"},
		{middleware.ErrInvalidTarget, 400, "invalid-target"},
		{middleware.ErrVerifierUnavailable, 503, "verifier-unavailable"},
		{transport.ErrHostNotListed, 500, "misconfigured"},
		{transport.ErrPlaintext, 500, "misconfigured"},
		{transport.ErrAuthorizationPresent, 500, "misconfigured"},
		{transport.ErrNoAccount, 500, "misconfigured"},
		{transport.ErrAccountConflict, 500, "misconfigured"},
		{&tokensource.ConfigError{Field: "field", Reason: "reason"}, 500, "misconfigured"},
		{context.DeadlineExceeded, 504, "upstream-timeout"},
		{os.ErrDeadlineExceeded, 504, "upstream-timeout"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, 504, "upstream-timeout"},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, 502, "upstream-unreachable"},
		{&net.DNSError{IsNotFound: true}, 502, "upstream-unreachable"},
		{io.ErrUnexpectedEOF, 502, "upstream-unreachable"},
		{errors.New("anything"), 502, "upstream-unreachable"},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			wantProblem(t, answer(test.err), test.status, test.name)
			wantProblem(t, answer(fmt.Errorf("more: %w", test.err)), test.status, test.name)
		})
	}
}

// An AuthError decides the answer even if it is joined with other errors. The
// answer does not mention the other errors.
func TestAuthError_HidesJoinedErrors(t *testing.T) {
	err := tokensource.NewError(tokensource.ErrUnavailable, nil)
	err.RetryAfter = time.Minute
	r := answer(errors.Join(middleware.ErrForbidden, err))
	wantProblem(t, r, http.StatusForbidden, "account-forbidden")
	check(t, "Retry-After", r.header.Get("Retry-After"), "")
}

func TestProblems_AreDistinct(t *testing.T) {
	problems := middleware.Problems()
	types, details := map[string]bool{}, map[string]bool{}
	for _, p := range problems {
		types[p.Type], details[p.Detail] = true, true
		check(t, p.Type+": title", p.Title, http.StatusText(p.Status))
		check(t, p.Type+": is an error", p.Status >= 400 && p.Status < 600, true)
		check(t, p.Type+": has a name", regexp.MustCompile(`^https://github\.com/pismoauth/pismoauth/blob/main/docs/errors\.md#[a-z]+(-[a-z]+)*$`).MatchString(p.Type), true)
		check(t, p.Type+": is a sentence", strings.HasSuffix(p.Detail, "."), true)
		check(t, p.Type+": RetryAfter", p.RetryAfter, 0)
	}
	check(t, "types", len(types), len(problems))
	check(t, "details", len(details), len(problems))
	check(t, "sorted", slices.IsSortedFunc(problems, func(a, b middleware.Problem) int { return strings.Compare(a.Type, b.Type) }), true)

	// Answers come from this list. The caller's copy is independent.
	problems[0].Detail = "changed"
	known := map[string]middleware.Problem{}
	for _, p := range middleware.Problems() {
		check(t, "changed", p.Detail == "changed", false)
		known[p.Type] = p
	}
	for _, test := range answers {
		for _, suppressed := range []bool{false, true} {
			p := middleware.ProblemOf(&tokensource.Error{Kind: test.kind, Suppressed: suppressed})
			p.RetryAfter = 0
			check(t, string(test.kind), p, known[p.Type])
		}
	}
}

func TestAnswerProblem_HasFieldsOfRFC9457(t *testing.T) {
	r := answer(middleware.ErrForbidden)
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(r.body), &fields); err != nil {
		t.Fatal(err)
	}
	check(t, "fields", strings.Join(slices.Sorted(maps.Keys(fields)), " "), "detail status title type")
	check(t, "Content-Length", r.header.Get("Content-Length"), strconv.Itoa(len(r.body)))
	check(t, "X-Content-Type-Options", r.header.Get("X-Content-Type-Options"), "nosniff")
}

func TestAnswerProblem_RoundsRetryAfterUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		-time.Second:            "",
		0:                       "",
		1:                       "1",
		time.Second:             "1",
		time.Second + 1:         "2",
		90 * time.Second:        "90",
		5*time.Minute - 1:       "300",
		59999 * time.Nanosecond: "1",
	} {
		err := tokensource.NewError(tokensource.ErrUnavailable, nil)
		err.RetryAfter = wait
		check(t, wait.String(), answer(err).header.Get("Retry-After"), want)
	}
}

func TestAnswerProblem_HEADHasNoBody(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	p.FailAlways(passporttest.RateLimited(30 * time.Second))
	s := serve(t, p.proxy(t))
	get := s.get(t, "/v1/accounts/"+alice)
	wantProblem(t, get, http.StatusServiceUnavailable, "rate-limited")
	head := s.send(t, s.request(t, http.MethodHead, "/v1/accounts/"+alice, nil))
	check(t, "body", head.body, "")
	check(t, "status", head.status, get.status)
	for _, h := range []http.Header{get.header, head.header} {
		check(t, "a Retry-After", h.Get("Retry-After") != "", true)
		h.Del("Date")
		h.Del("Retry-After") // The comparison leaves this field out.
	}
	if !maps.EqualFunc(get.header, head.header, slices.Equal) {
		t.Errorf("HEAD got %v, GET %v", head.header, get.header)
	}
	// This writer does not drop a body itself.
	w := httptest.NewRecorder()
	middleware.AnswerProblem(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil), middleware.ErrForbidden)
	check(t, "length of the body", w.Body.Len(), 0)
}

// The page on errors lists the type of each problem, and no other type.
func TestProblems_MatchDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, found := range regexp.MustCompile("`#([a-z]+(?:-[a-z]+)*)`").FindAllSubmatch(page, -1) {
		listed[string(found[1])] = true
	}
	if len(listed) == 0 {
		t.Fatal("the page lists no problem")
	}
	for _, p := range middleware.Problems() {
		_, name, _ := strings.Cut(p.Type, "#")
		if !listed[name] {
			t.Errorf("`#%s` is missing", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("`#%s` is not the type of a problem", name)
	}
}

func TestUnreadableBody_IsClientError(t *testing.T) {
	for cause, want := range map[error]int{
		&http.MaxBytesError{Limit: 1}:                            http.StatusRequestEntityTooLarge,
		fmt.Errorf("reading: %w", os.ErrDeadlineExceeded):        http.StatusRequestTimeout,
		fmt.Errorf("reading: %w", io.ErrUnexpectedEOF):           http.StatusBadRequest,
		fmt.Errorf("wrapped: %w", &http.MaxBytesError{Limit: 1}): http.StatusRequestEntityTooLarge,
	} {
		err := middleware.UnreadableBody(cause)
		if got := middleware.ProblemOf(err).Status; got != want || !errors.Is(err, cause) {
			t.Errorf("%v: got status %d, want %d", cause, got, want)
		}
	}
}

func TestErrTooEarly_Is425(t *testing.T) {
	wantProblem(t, answer(middleware.ErrTooEarly), http.StatusTooEarly, "too-early")
}
