// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// A snapshot is the content of the page at one moment. The browser gets all of
// it, so it has no token, no secret and no text of an error.
type snapshot struct {
	Passport  string           `json:"passport"`
	Rotations int              `json:"rotations"`
	Seconds   []outcomes       `json:"seconds"` // the oldest first, without the current second
	Total     outcomes         `json:"total"`
	Issued    int              `json:"issued"` // as counted by the hooks
	Fake      fakeCounts       `json:"fake"`
	Accounts  []accountState   `json:"accounts"`
	Issuances []issuanceRecord `json:"issuances"`
	Traces    []shownTrace     `json:"traces"`
	Burst     *burst           `json:"burst"`
}

// fakeCounts are counts of the fake server.
type fakeCounts struct {
	TokenRequests int `json:"tokenRequests"`
	Issued        int `json:"issued"`
	Requests      int `json:"requests"`
	Accepted      int `json:"accepted"`
	Refused       int `json:"refused"`
}

type accountState struct {
	User     string  `json:"user"`
	Account  string  `json:"account"` // made up: see page
	Serial   uint64  `json:"serial"`
	Left     float64 `json:"left"`     // in seconds
	Lifetime float64 `json:"lifetime"` // in seconds
}

func (p *page) snapshot(now time.Time) snapshot {
	counts := p.fake.Counts()
	s := snapshot{Fake: fakeCounts{
		TokenRequests: counts.TokenRequests,
		Issued:        counts.Issued,
		Requests:      counts.ResourceRequests,
		Accepted:      counts.Accepted,
		Refused:       counts.TotalRefused(),
	}}
	p.mu.Lock()
	s.Passport, s.Rotations, s.Burst = p.state, p.secrets, p.burst
	p.mu.Unlock()
	p.monitor.fill(&s, now)
	for _, user := range []string{alice, bob} {
		token, _ := p.monitor.token(user)
		s.Accounts = append(s.Accounts, accountState{
			User:     user,
			Account:  p.login.accounts[user],
			Serial:   token.serial,
			Left:     token.left(now).Seconds(),
			Lifetime: token.lifetime.Seconds(),
		})
	}
	return s
}

// fill copies the data of the monitor.
func (m *monitor) fill(s *snapshot, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for second := now.Unix() - shownSeconds; second < now.Unix(); second++ {
		s.Seconds = append(s.Seconds, m.seconds[second])
	}
	s.Total, s.Issued = m.total, m.issued
	s.Issuances = []issuanceRecord{}
	for _, i := range m.issuances {
		s.Issuances = append(s.Issuances, *i)
	}
	s.Traces = []shownTrace{}
	for _, t := range m.traces {
		s.Traces = append(s.Traces, t.shown(m.issuances))
	}
}

// shown returns a copy of an ended trace. The copy has the issuances below the
// steps that waited for them.
func (t *trace) shown(issuances []*issuanceRecord) shownTrace {
	shown := t.shownTrace
	shown.Spans = withIssuances(t.Spans, issuances)
	return shown
}

func withIssuances(spans []*span, issuances []*issuanceRecord) []*span {
	shown := []*span{}
	for _, s := range spans {
		one := *s
		one.Spans = withIssuances(s.Spans, issuances)
		for _, i := range issuances {
			if s.Issuance != 0 && i.Number == s.Issuance {
				one.Spans = append(one.Spans, i.span())
			}
		}
		shown = append(shown, &one)
	}
	return shown
}

// span returns an issuance as a step of a request.
func (i *issuanceRecord) span() *span {
	detail := fmt.Sprintf("%s, serial %d", i.Reason, i.Serial)
	if i.Error != "" {
		detail = i.Reason + ", " + i.Error
	}
	return &span{Name: fmt.Sprintf("issuance %d", i.Number), Detail: detail, Took: i.Took, Spans: []*span{}}
}
