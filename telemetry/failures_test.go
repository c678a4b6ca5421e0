// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
)

// An issuanceLog has the hooks of a Logger and its log, without a Source.
type issuanceLog struct {
	*testing.T
	hooks tokensource.Hooks
	log   *logBuffer
}

func newIssuanceLog(t *testing.T) *issuanceLog {
	log := new(logBuffer)
	logger := telemetry.NewLogger(slog.New(slog.NewTextHandler(log, nil))) // It writes no DEBUG lines.
	return &issuanceLog{t, logger.SourceHooks(), log}
}

// end ends an issuance of an account. An empty kind means success.
func (i *issuanceLog) end(account int, kind tokensource.ErrorKind) {
	_, done := i.hooks.Issue(i.Context(), i.Context(), tokensource.IssueInfo{Account: accountNumber(i, account+1)})
	if kind == "" {
		done(tokensource.IssueResult{Serial: 1})
		return
	}
	done(tokensource.IssueResult{Err: tokensource.NewError(kind, nil)})
}

func (i *issuanceLog) want(want ...string) {
	i.Helper()
	if got := i.log.read("error_type", "failures", "after"); !slices.Equal(got, want) {
		i.Errorf("logged\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// A thousand failing accounts must not make a thousand lines.
func TestLogger_OneLinePerOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuanceLog(t)
		for account := range 1000 {
			i.end(account, tokensource.ErrUnavailable)
		}
		i.want(`WARN "token issuance is failing" error_type=unavailable`)
		time.Sleep(time.Minute)
		for account := range 1000 {
			i.end(account, "")
		}
		i.want(`INFO "token issuance recovered" failures=1000 after=1m0s`)
	})
}

// An endpoint that fails every second time must not cause a line per second.
func TestLogger_LogsAFlappingEndpointOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuanceLog(t)
		for second := range 600 {
			if second%2 == 0 {
				i.end(second%7, tokensource.ErrUnavailable)
			} else {
				i.end(second%7, "")
			}
			time.Sleep(time.Second)
		}
		i.want(`WARN "token issuance is failing" error_type=unavailable`,
			`INFO "token issuance recovered" failures=1 after=1s`,
			`WARN "token issuance is flapping" error_type=unavailable`)
		time.Sleep(time.Minute)
		i.end(0, "")
		i.want(`INFO "token issuance recovered" failures=300 after=11m0s`)
		time.Sleep(time.Minute)
		i.end(0, tokensource.ErrUnavailable)
		i.want(`WARN "token issuance is failing" error_type=unavailable`)
	})
}

// Alternating causes make one line each.
func TestLogger_LogsEachCauseOfAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuanceLog(t)
		for range 100 {
			for _, kind := range []tokensource.ErrorKind{tokensource.ErrUnavailable, tokensource.ErrTimeout, "made up", "made up too"} {
				i.end(1, kind)
				time.Sleep(time.Second)
			}
		}
		i.want(`WARN "token issuance is failing" error_type=unavailable`, `WARN "token issuance is failing" error_type=timeout`, `WARN "token issuance is failing" error_type="made up"`)
	})
}

// Log lines do not name accounts. A line for each made-up account would fill
// the log without information.
func TestLogger_LogsRejectedAccountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuanceLog(t)
		for account := range 3000 {
			i.end(account, tokensource.ErrAccountRejected)
			i.end(7, "") // This account exists.
			time.Sleep(time.Second)
		}
		i.want(`WARN "token issuance is failing" error_type=account_rejected`)
		time.Sleep(10 * time.Minute)
		i.end(5000, tokensource.ErrAccountRejected)
		i.want(`WARN "token issuance is failing" error_type=account_rejected`)
		i.end(5000, "")
		i.want(`INFO "token issuance recovered" failures=1 after=0s`)
	})
}

// Made-up accounts must not hide that the endpoint mixes up accounts.
func TestLogger_LogsMismatchBesideRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuanceLog(t)
		i.end(1, tokensource.ErrAccountRejected)
		i.end(2, tokensource.ErrAccountMismatch)
		i.end(3, tokensource.ErrAccountMismatch)
		i.want(`WARN "token issuance is failing" error_type=account_rejected`, `ERROR "token issuance is failing" error_type=account_mismatch`)
	})
}

// Wrong credentials look like rejected accounts at first. The log must still
// name the credentials.
func TestLogger_LogsRejectedCredentialsAsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuanceLog(t)
		for account := range 50 {
			kind := tokensource.ErrAccountRejected
			if account > 2 {
				kind = tokensource.ErrCredentialsRejected
			}
			i.end(account, kind)
			time.Sleep(time.Minute)
		}
		i.want(`WARN "token issuance is failing" error_type=account_rejected`, `ERROR "token issuance is failing" error_type=credentials_rejected`)
	})
}

// The text of a tokensource.Error is safe by construction. The text of another
// error may have a URL with an account.
func TestLogger_LogsNoTextOfUnknownErrors(t *testing.T) {
	i := newIssuanceLog(t)
	_, done := i.hooks.Issue(t.Context(), t.Context(), tokensource.IssueInfo{Account: alice(t)})
	done(tokensource.IssueResult{Err: errors.New("https://a.example/" + aliceID)})
	if text := i.log.String(); strings.Contains(text, aliceID) || !strings.Contains(text, "error_type=_OTHER") {
		t.Errorf("logged %s, want error_type=_OTHER and no account", text)
	}
}
