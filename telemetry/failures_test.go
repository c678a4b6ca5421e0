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

// issuances are hooks that log, without a Source.
type issuances struct {
	*testing.T
	hooks tokensource.Hooks
	log   *journal
}

func newIssuances(t *testing.T) *issuances {
	log := new(journal)
	logger := telemetry.NewLogger(slog.New(slog.NewTextHandler(log, nil))) // From INFO on.
	return &issuances{t, logger.SourceHooks(), log}
}

// end ends an issuance for one of many accounts. No kind means that it worked.
func (i *issuances) end(account int, kind tokensource.Kind) {
	_, done := i.hooks.Issue(i.Context(), i.Context(), tokensource.IssueInfo{Account: accountNumber(i, account+1)})
	if kind == "" {
		done(tokensource.IssueResult{Serial: 1})
		return
	}
	done(tokensource.IssueResult{Err: tokensource.NewError(kind, nil)})
}

func (i *issuances) want(want ...string) {
	i.Helper()
	if got := i.log.read("error_type", "failures", "after"); !slices.Equal(got, want) {
		i.Errorf("logged\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// A thousand accounts that meet an outage must not make a thousand lines.
func TestLogger_LogsAnOutageOnceForAllAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuances(t)
		for account := range 1000 {
			i.end(account, tokensource.ErrUnavailable)
		}
		i.want(`WARN "issuance fails" error_type=unavailable`)
		time.Sleep(time.Minute)
		for account := range 1000 {
			i.end(account, "")
		}
		i.want(`INFO "issuance works again" failures=1000 after=1m0s`)
	})
}

// An endpoint that answers every second time must not make a line each second.
func TestLogger_LogsAFlappingEndpointOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuances(t)
		for second := range 600 {
			if second%2 == 0 {
				i.end(second%7, tokensource.ErrUnavailable)
			} else {
				i.end(second%7, "")
			}
			time.Sleep(time.Second)
		}
		i.want(`WARN "issuance fails" error_type=unavailable`,
			`INFO "issuance works again" failures=1 after=1s`,
			`WARN "issuance fails on and off" error_type=unavailable`)
		time.Sleep(time.Minute)
		i.end(0, "")
		i.want(`INFO "issuance works again" failures=300 after=11m0s`)
		time.Sleep(time.Minute)
		i.end(0, tokensource.ErrUnavailable)
		i.want(`WARN "issuance fails" error_type=unavailable`)
	})
}

// Two causes that take turns are two lines.
func TestLogger_LogsEachCauseOfAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuances(t)
		for range 100 {
			for _, kind := range []tokensource.Kind{tokensource.ErrUnavailable, tokensource.ErrTimeout, "made up", "made up too"} {
				i.end(1, kind)
				time.Sleep(time.Second)
			}
		}
		i.want(`WARN "issuance fails" error_type=unavailable`, `WARN "issuance fails" error_type=timeout`, `WARN "issuance fails" error_type="made up"`)
	})
}

// Lines do not name accounts. One for each account that somebody makes up would
// fill the log, and say nothing.
func TestLogger_LogsRejectedAccountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuances(t)
		for account := range 3000 {
			i.end(account, tokensource.ErrAccountRejected)
			i.end(7, "") // A good account.
			time.Sleep(time.Second)
		}
		i.want(`WARN "issuance fails" error_type=account_rejected`)
		time.Sleep(10 * time.Minute)
		i.end(5000, tokensource.ErrAccountRejected)
		i.want(`WARN "issuance fails" error_type=account_rejected`)
		i.end(5000, "")
		i.want(`INFO "issuance works again" failures=1 after=0s`)
	})
}

// Wrong credentials must not drown in the rejected accounts that they look like
// at first.
func TestLogger_LogsRejectedCredentialsAsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuances(t)
		for account := range 50 {
			kind := tokensource.ErrAccountRejected
			if account > 2 {
				kind = tokensource.ErrCredentialsRejected
			}
			i.end(account, kind)
			time.Sleep(time.Minute)
		}
		i.want(`WARN "issuance fails" error_type=account_rejected`, `ERROR "issuance fails" error_type=credentials_rejected`)
	})
}

// The text of a tokensource.Error is safe by construction. The text of another
// error may be a URL with an account in it.
func TestLogger_LogsNoTextOfUnknownErrors(t *testing.T) {
	i := newIssuances(t)
	_, done := i.hooks.Issue(t.Context(), t.Context(), tokensource.IssueInfo{Account: alice(t)})
	done(tokensource.IssueResult{Err: errors.New("https://a.example/" + aliceID)})
	if text := i.log.String(); strings.Contains(text, aliceID) || !strings.Contains(text, "error_type=_OTHER") {
		t.Errorf("logged %s", text)
	}
}
