// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The renewal window begins somewhere between these parts of a life.
const (
	earliestRenewal = 0.70
	latestRenewal   = 0.80
)

func TestLifetime_ShortOnesAgeAlike(t *testing.T) {
	tests := map[string]struct {
		life, dead time.Duration
	}{
		"2 s":                       {2 * time.Second, 1800 * time.Millisecond},
		"100 s":                     {100 * time.Second, 90 * time.Second},
		"150 s":                     {150 * time.Second, 135 * time.Second},
		"600 s, margin of 15 s":     {600 * time.Second, 585 * time.Second},
		"an hour, margin of 15 s":   {time.Hour, time.Hour - 15*time.Second},
		"half a second, in a hurry": {500 * time.Millisecond, 450 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{lifetime: tt.life}
				src := newSource(t, d)
				account := acct(t, 1)
				start := time.Now()
				goTo := func(age time.Duration) {
					time.Sleep(time.Until(start.Add(age)))
				}
				first := token(t, src, account)
				tick := tt.life / 1000

				goTo(time.Duration(float64(tt.life)*earliestRenewal) - tick)
				if token(t, src, account) != first {
					t.Error("the token was replaced while fresh")
				}
				synctest.Wait()
				wantAsked(t, d, 1)

				d.fail(errDown) // All later issuances fail.
				goTo(time.Duration(float64(tt.life)*latestRenewal) + tick)
				if token(t, src, account) != first {
					t.Error("the token was not served while stale")
				}
				synctest.Wait()
				if d.asked() == 1 {
					t.Error("the token was not renewed in its renewal window")
				}

				goTo(tt.dead - time.Nanosecond)
				if token(t, src, account) != first {
					t.Error("the token was not served to the end")
				}
				goTo(tt.dead)
				if first.Expired() {
					t.Error("the token has expired before its end")
				}
				wantNoToken(t, src, account, tokensource.ErrUnavailable)
				goTo(tt.life)
				if !first.Expired() {
					t.Error("the token has not expired at its end")
				}
			})
		})
	}
}

func TestLifetime_RenewalsAreSpread(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		accounts := accts(t, 200)
		start := time.Now()
		for _, account := range accounts {
			token(t, src, account)
		}
		renewedAt := func(part float64) int {
			time.Sleep(time.Until(start.Add(time.Duration(part * float64(lifetime)))))
			for _, account := range accounts {
				token(t, src, account)
			}
			synctest.Wait()
			return d.asked() - len(accounts)
		}
		if n := renewedAt(0.70); n != 0 {
			t.Errorf("before the window, %d of 200 tokens are renewed", n)
		}
		// The renewals are evenly spread, within five standard deviations.
		if n := renewedAt(0.75); n < 65 || n > 135 {
			t.Errorf("in the middle of the window, %d of 200 tokens are renewed, want about half", n)
		}
		if n := renewedAt(0.80); n != 200 {
			t.Errorf("at the end of the window, %d of 200 tokens are renewed", n)
		}
	})
}

func TestLifetime_IgnoresTheLocalClock(t *testing.T) {
	for name, wrong := range map[string]time.Duration{
		"right":          0,
		"a day ahead":    24 * time.Hour,
		"a day behind":   -24 * time.Hour,
		"a minute ahead": time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				issued := time.Now().Add(-wrong)
				grant := tokensource.Grant{
					Token: tokensource.NewSecret(jwtOf(claimsOf("iat", issued.Unix(), "exp", issued.Unix()+600))),
				}
				tok := token(t, newSource(t, granting(grant)), acct(t, 1))
				if tok.Lifetime() != lifetime || !tok.Expiry().Equal(time.Now().Add(lifetime)) {
					t.Errorf("got a lifetime of %v until %v", tok.Lifetime(), tok.Expiry())
				}
			})
		})
	}
}

func TestLifetime_CountsFromBeforeTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		src := newSource(t, &fakeIssuer{latency: 5 * time.Second})
		if tok := token(t, src, acct(t, 1)); !tok.Expiry().Equal(start.Add(lifetime)) {
			t.Errorf("the token expires %v after the request", tok.Expiry().Sub(start))
		}
	})
}

func TestLifetime_ExpiredOnArrivalIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{lifetime: 2 * time.Second, latency: 1801 * time.Millisecond})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrMalformedResponse)
	})
}

func TestLifetime_IsOneHourAtMost(t *testing.T) {
	day := 24 * time.Hour
	for name, grant := range map[string]tokensource.Grant{
		"exp − iat":            {Token: tokensource.NewSecret(jwtOf(`{"iat":1700000000,"exp":1700086400}`))},
		"to the year 9999":     {Token: tokensource.NewSecret(jwtOf(`{"iat":1,"exp":253402300799}`))},
		"expires_in":           opaque("opaque", day),
		"the largest there is": opaque("opaque", 1<<63-1),
	} {
		t.Run(name, func(t *testing.T) {
			if tok := token(t, newSource(t, granting(grant)), acct(t, 1)); tok.Lifetime() != time.Hour {
				t.Errorf("the token lives for %v, want 1h", tok.Lifetime())
			}
		})
	}
}

// The shortest lifetime counts. Invalid numbers count as absent and do not
// invalidate the token. Every invalid number here comes from a real token or
// response.
func TestLifetime_IsTheShortestOfAllSources(t *testing.T) {
	at := time.Unix(1700000000, 0)
	jwt := func(claims string) tokensource.Grant { return opaque(jwtOf(claims), 0) }
	whole := jwtOf(`{"iat":1700000000,"exp":1700000090}`)
	for name, tt := range map[string]struct {
		grant tokensource.Grant
		want  time.Duration
	}{
		"iat and exp":               {jwt(`{"iat":1700000000,"exp":1700000090}`), 90 * time.Second},
		"expires_in is shorter":     {opaque(whole, time.Minute), time.Minute},
		"expires_in is longer":      {opaque(whole, time.Hour), 90 * time.Second},
		"expires_in is negative":    {opaque(whole, -time.Second), 90 * time.Second},
		"Date is later than iat":    {dated(opaque(whole, 0), at.Add(30*time.Second)), time.Minute},
		"Date is earlier than iat":  {dated(opaque(whole, 0), at.Add(-time.Hour)), 90 * time.Second},
		"exp and Date alone":        {dated(jwt(`{"exp":1700000090}`), at), 90 * time.Second},
		"padding":                   {opaque(padded(whole), 0), 90 * time.Second},
		"the other alphabet":        {opaque(otherAlphabet(t), 0), 90 * time.Second},
		"fractions":                 {jwt(`{"iat":1700000000.25,"exp":1700000090.75}`), 90500 * time.Millisecond},
		"exponents":                 {jwt(`{"iat":1.7e9,"exp":1.70000009e9}`), 90 * time.Second},
		"expires_in, opaque":        {opaque("opaque", time.Minute), time.Minute},
		"expires_in, exp alone":     {opaque(jwtOf(`{"exp":1700000090}`), time.Minute), time.Minute},
		"expires_in, iat alone":     {opaque(jwtOf(`{"iat":1700000000}`), time.Minute), time.Minute},
		"expires_in, iat null":      {opaque(jwtOf(`{"iat":null,"exp":1700000090}`), time.Minute), time.Minute},
		"nothing, opaque":           {opaque("opaque", 0), 10 * time.Minute},
		"nothing, JWT":              {jwt(`{}`), 10 * time.Minute},
		"exp before iat":            {jwt(`{"iat":1700000600,"exp":1700000000}`), 10 * time.Minute},
		"exp before iat, Date":      {dated(jwt(`{"iat":1700000600,"exp":1700000300}`), at), 5 * time.Minute},
		"exp is iat":                {jwt(`{"iat":1700000000,"exp":1700000000}`), 10 * time.Minute},
		"no time at all":            {jwt(`{"iat":1700000000,"exp":1700000000.0000000001}`), 10 * time.Minute},
		"milliseconds":              {jwt(`{"iat":1700000000000,"exp":1700000600000}`), 10 * time.Minute},
		"exp in milliseconds":       {jwt(`{"iat":1700000000,"exp":1700000600000}`), 10 * time.Minute},
		"exp in milliseconds, Date": {dated(jwt(`{"exp":1700000600000}`), at), 10 * time.Minute},
		"exp in year 292277026596":  {jwt(`{"iat":1700000000,"exp":9223372036854775807}`), 10 * time.Minute},
		"exp beyond all floats":     {jwt(`{"iat":1700000000,"exp":1e999}`), 10 * time.Minute},
		"iat zero":                  {jwt(`{"iat":0,"exp":1700000600}`), 10 * time.Minute},
		"iat negative":              {jwt(`{"iat":-1,"exp":600}`), 10 * time.Minute},
		"exp a life, Date":          {dated(jwt(`{"exp":600}`), at), 10 * time.Minute},
		"exp a life, iat and Date":  {dated(jwt(`{"iat":1700000000,"exp":90}`), at), 10 * time.Minute},
		"exp in minutes, Date":      {dated(jwt(`{"exp":28333335}`), at), 10 * time.Minute},
		"no clock, Date":            {dated(jwt(`{"iat":5,"exp":95}`), at), 90 * time.Second},
		"exp a string":              {jwt(`{"iat":1700000000,"exp":"1700000090"}`), 10 * time.Minute},
		"exp a date":                {jwt(`{"iat":1700000000,"exp":"2026-11-24T10:00:00Z"}`), 10 * time.Minute},
		"exp an object":             {jwt(`{"iat":1700000000,"exp":{"a":1}}`), 10 * time.Minute},
		"exp true":                  {jwt(`{"iat":1700000000,"exp":true}`), 10 * time.Minute},
		"longer than an hour":       {jwt(`{"iat":1700000000,"exp":1700090000}`), time.Hour},
		"expires_in for ever":       {opaque("opaque", math.MaxInt64), time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			tok := token(t, newSource(t, granting(tt.grant)), acct(t, 1))
			if off := tok.Lifetime() - tt.want; off.Abs() > time.Microsecond {
				t.Errorf("the token lives for %v, want %v", tok.Lifetime(), tt.want)
			}
		})
	}
}

// padded returns a JWT with padding in its segments, as a common load balancer
// writes it.
func padded(jwt string) string {
	segments := strings.Split(jwt, ".")
	for i, segment := range segments {
		segments[i] = segment + strings.Repeat("=", (4-len(segment)%4)%4)
	}
	return strings.Join(segments, ".")
}

// otherAlphabet returns a JWT whose segments use standard base64, with + and /.
func otherAlphabet(t *testing.T) string {
	jwt := jwtOf(`{"name":"ÿÿÿ>>>???","iat":1700000000,"exp":1700000090}`)
	other := strings.NewReplacer("-", "+", "_", "/").Replace(jwt)
	if other == jwt {
		t.Fatal("the JWT is the same in both alphabets: the test proves nothing")
	}
	return other
}

// dated returns a grant with the time of its endpoint.
func dated(grant tokensource.Grant, date time.Time) tokensource.Grant {
	grant.Date = date
	return grant
}

func TestLifetime_EndsByTheEndpointsClock(t *testing.T) {
	grant := dated(opaque(jwtOf(`{"iat":1700000000,"exp":1700000600}`), 0), time.Unix(1700000600, 0))
	err := wantNoToken(t, newSource(t, granting(grant)), acct(t, 1), tokensource.ErrMalformedResponse)
	if !strings.Contains(err.Error(), "the token had expired when it arrived") {
		t.Errorf("the error says %q, want that the token had expired when it arrived", err)
	}
}

func TestGrant_AgeShortensTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for age, want := range map[time.Duration]time.Duration{
			-time.Minute:      lifetime, // Invalid, and ignored.
			0:                 lifetime,
			100 * time.Second: lifetime - 100*time.Second,
		} {
			grant := opaque("opaque", lifetime)
			grant.Age = age
			tok := token(t, newSource(t, granting(grant)), acct(t, 1))
			if left := time.Until(tok.Expiry()); left != want {
				t.Errorf("Age %v: %v are left, want %v", age, left, want)
			}
		}
		grant := opaque("opaque", lifetime)
		grant.Age = 2 * lifetime
		wantNoToken(t, newSource(t, granting(grant)), acct(t, 1), tokensource.ErrMalformedResponse)
	})
}
