// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestLogger_OneLinePerChangeOfState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		for range 100 {
			l.want(l.read("request"), http.StatusOK)
		}
		l.wantLines("a hundred requests", l.log.read("reason", "scope", "serial", "lifetime", "attempts"),
			`DEBUG "token issued" reason=cold scope=account attempts=1 serial=1 lifetime=10m0s`)

		l.pismo.RevokeAll()
		concurrently(100, func() { l.want(l.read("request"), http.StatusOK) })
		l.wantLines("a hundred requests refused together", l.log.read("reason", "refused_serial", "serial", "outcome"),
			`DEBUG "token issued" reason=refused serial=2`,
			`INFO "refused token replaced" refused_serial=1 outcome=replayed serial=2`)

		time.Sleep(500 * time.Second)
		concurrently(100, func() { l.want(l.read("request"), http.StatusOK) })
		synctest.Wait()
		l.wantLines("a hundred requests with a stale token", l.log.read("reason"), `DEBUG "token issued" reason=ahead`)
	})
}

func TestLogger_EndOfOutageTellsItsLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		l.pismo.FailAlways(passporttest.RateLimited(time.Minute))
		l.want(l.read("request"), 0)
		l.wantLines("the first failure", l.log.read("retry_after"), `WARN "token issuance is failing" retry_after=1m0s`)
		time.Sleep(time.Minute)
		l.want(l.read("request"), 0)
		l.log.read()
		l.pismo.Heal()
		time.Sleep(time.Minute)
		l.want(l.read("request"), http.StatusOK)
		l.wantLines("the end", l.log.read("failures", "after")[1:], `INFO "token issuance recovered" failures=2 after=2m0s`)
	})
}

func TestLogger_CanceledCallerIsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		l.want(l.read("request"), http.StatusOK)
		l.log.read()
		l.pismo.RevokeAll()
		l.pismo.FailAlways(passporttest.Hang())
		ctx, leave := context.WithCancel(t.Context())
		gone := l.start(func() int {
			return l.send(ctx, "request", http.MethodGet, "/v1/accounts/"+aliceID, nil)
		})
		synctest.Wait()
		leave()
		gone()
		l.wantLines("caller that left", l.log.read("outcome"))
		time.Sleep(time.Minute) // The issuance has timed out by then.
		l.wantLines("the issuance", l.log.read("error_type"), `WARN "token issuance is failing" error_type=timeout`)
	})
}

func TestLogger_OutageBeginsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		l.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
		for range 60 {
			l.want(l.read("request"), 0)
			time.Sleep(time.Second)
		}
		lines := l.log.read("error_type", "status")
		l.wantLines("the beginning", lines[:1], `WARN "token issuance is failing" error_type=unavailable status=500`)
		for _, line := range lines[1:] {
			l.wantLines("further failures", []string{line}, `DEBUG "token issuance is still failing" error_type=unavailable status=500`)
		}
		l.pismo.FailAlways(passporttest.Status(http.StatusUnauthorized))
		for range 60 {
			l.want(l.read("request"), 0)
			time.Sleep(time.Second)
		}
		l.wantLines("another cause", l.log.read("error_type", "status")[:1], `ERROR "token issuance is failing" error_type=credentials_rejected status=401`)
		l.pismo.Heal()
		for range 60 {
			l.read("request")
			time.Sleep(time.Second)
		}
		l.wantLines("the end", l.log.read("reason", "scope"), `DEBUG "token issued" reason=cold scope=account`, `INFO "token issuance recovered" scope=account`)
	})
}

// The token endpoint gives the same answer for an unknown account and for wrong
// credentials. A program that uses accounts only must still get the line about
// the credentials.
func TestLogger_LogsWrongCredentialsAsAnError(t *testing.T) {
	for _, accounts := range []int{0, 1, 3, 50} { // 0 means the organization.
		synctest.Test(t, func(t *testing.T) {
			l := newLogFixture(t)
			l.pismo.RotateSecret()
			for n := range 60 {
				l.account = tokensource.Organization()
				if accounts > 0 {
					l.account = accountNumber(t, n%accounts+1)
				}
				l.want(l.read("request"), 0)
				time.Sleep(time.Second)
			}
			var lines []string
			for _, line := range l.log.read("error_type", "status") {
				if strings.HasPrefix(line, "ERROR") {
					lines = append(lines, line)
				}
			}
			l.wantLines(fmt.Sprint(accounts, " accounts"), lines, `ERROR "token issuance is failing" error_type=credentials_rejected status=401`)
			if _, failed := l.acquisitions(); failed != 60 {
				t.Errorf("%d requests have failed, want 60", failed)
			}
		})
	}
}

// The log line must name the variable, the file or the host, because an
// operator has no other information.
func TestLogger_LogsTheSafeCause(t *testing.T) {
	log := new(logBuffer)
	hooks := telemetry.NewLogger(slog.New(slog.NewTextHandler(log, nil))).SourceHooks()
	_, done := hooks.Issue(t.Context(), t.Context(), tokensource.IssueInfo{Account: alice(t)})
	done(tokensource.IssueResult{Err: tokensource.NewError(tokensource.ErrMisconfigured,
		tokensource.SafeError("PISMO_SERVER_KEY is not set", errors.New("https://a.example/"+aliceID)))})
	if text := log.String(); !strings.Contains(text, "PISMO_SERVER_KEY is not set") || strings.Contains(text, aliceID) {
		t.Errorf("logged %s, want the unset variable and no account", text)
	}
}

func TestLogger_RefusalOncePerToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		l.want(l.read("request"), http.StatusOK)
		l.log.read()
		l.pismo.RevokeAll()
		l.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
		for range 10 {
			l.want(l.read("request"), http.StatusUnauthorized)
		}
		l.wantLines("ten requests", l.log.read("refused_serial", "outcome", "error_type"),
			`WARN "token issuance is failing" error_type=unavailable`,
			`WARN "refused token not replaced" refused_serial=1 outcome=not_renewed error_type=unavailable`)
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		l.pismo.Refuse(passporttest.Refusal{}.Times(100))
		for range 10 {
			l.want(l.read("request"), http.StatusUnauthorized)
		}
		var warnings []string
		for _, line := range l.log.read("refused_serial", "outcome", "error_type") {
			if strings.HasPrefix(line, "WARN") {
				warnings = append(warnings, line)
			}
		}
		l.wantLines("an endpoint that always answers 401", warnings,
			`WARN "refused token not replaced" refused_serial=2 outcome=refused_again`,
			`WARN "refused token not replaced" refused_serial=4 outcome=not_renewed error_type=renewal_limited`)
	})
}

func TestLogger_Business401IsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogFixture(t)
		l.want(l.read("request"), http.StatusOK)
		l.log.read()
		for _, name := range []string{"EUPI0120", "WCAC0001"} {
			l.pismo.Refuse(passporttest.MustRefusal(name))
			l.want(l.read("request"), http.StatusUnauthorized)
		}
		l.wantLines("two answers", l.log.read())
		l.pismo.Refuse(passporttest.Refusal{ContentType: "application/json", Body: `{"code":"X1"}`})
		l.want(l.pay("request"), http.StatusUnauthorized)
		synctest.Wait()
		lines := l.log.read("refused_serial", "reason")
		slices.Sort(lines)
		l.wantLines("401 that is not recognized", lines, `DEBUG "token issued" reason=suspected`, `WARN "401 not recognized" refused_serial=1`)
	})
}

func TestLogger_MemoryIsBounded(t *testing.T) {
	log := new(logBuffer)
	source := telemetry.NewLogger(slog.New(slog.NewTextHandler(io.Discard, nil))).SourceHooks()
	fail := func(hooks tokensource.Hooks, n int) {
		info := tokensource.IssueInfo{Account: accountNumber(t, n), Reason: tokensource.ReasonCold}
		_, done := hooks.Issue(t.Context(), t.Context(), info)
		done(tokensource.IssueResult{Err: tokensource.NewError(tokensource.ErrAccountRejected, nil)})
	}
	before := heap()
	for n := range 50_000 {
		fail(source, n+1)
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("50,000 failing accounts need %d bytes", grown)
	}
	runtime.KeepAlive(source)
	source = telemetry.NewLogger(slog.New(slog.NewTextHandler(log, nil))).SourceHooks()
	for range 3 {
		fail(source, 1)
	}
	if lines := log.read(); len(lines) != 1 {
		t.Errorf("one failing account makes %d lines, want 1", len(lines))
	}
}

func TestLogger_SuppressedIssuanceIsSilent(t *testing.T) {
	log := new(logBuffer)
	hooks := telemetry.NewLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))).SourceHooks()
	_, done := hooks.Issue(t.Context(), t.Context(), tokensource.IssueInfo{Account: alice(t), Issuance: 1, Reason: tokensource.ReasonCold})
	done(tokensource.IssueResult{Err: &tokensource.Error{Kind: tokensource.ErrUnavailable, Suppressed: true}})
	if text := log.String(); text != "" {
		t.Errorf("logged %s, want nothing", text)
	}
}
