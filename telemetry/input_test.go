// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// No input creates a series, and no input makes a hook panic: hooks run while a
// payment is being sent.
func TestHooks_AcceptUnexpectedValues(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	provider, _ := newRecorder()
	tel := newTelemetry(t, nil, telemetry.WithTracerProvider(provider), telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	metricsOf(t, reader)
	var typed *tokensource.Error
	var zero telemetry.Telemetry
	inputs := []string{"", "made up", "\xff", strings.Repeat("x", 10_000)}
	errs := []error{nil, typed, panickingError{}, context.Canceled, &tokensource.Error{}}
	for _, input := range inputs {
		errs = append(errs, &tokensource.Error{Kind: tokensource.ErrorKind(input), CorrelationID: input, StatusCode: -1})
	}
	for _, tel := range []*telemetry.Telemetry{tel, nil, &zero} {
		logger := telemetry.NewLogger(slog.New(slog.DiscardHandler))
		source := tokensource.JoinHooks(tel.SourceHooks(), logger.SourceHooks())
		requests := transport.JoinHooks(tel.TransportHooks(), logger.TransportHooks())
		for _, ctx := range []context.Context{nil, t.Context()} {
			for _, err := range errs {
				for _, input := range inputs {
					_, done1 := source.Issue(ctx, ctx, tokensource.IssueInfo{Reason: tokensource.IssueReason(input)})
					done1(tokensource.IssueResult{Err: err, Attempts: -1, Serial: 1 << 63})
					if source.Acquire != nil {
						_, done2 := source.Acquire(ctx, tokensource.AcquireInfo{Origin: tokensource.TokenOrigin(input), Issuance: 1 << 63})
						done2(tokensource.AcquireResult{Err: err})
						_, done3 := source.Renew(ctx, tokensource.RenewInfo{Outcome: tokensource.RenewSuppressed})
						done3(tokensource.RenewResult{Err: err})
					}
					if _, done := requests.Refused(ctx, transport.RefusedInfo{Verdict: transport.Verdict(input)}); done != nil {
						done(transport.RefusedResult{Outcome: transport.RefusedOutcome(input), Err: err})
					}
					if _, done := requests.Refused(ctx, transport.RefusedInfo{Verdict: transport.TokenRefused}); done != nil {
						done(transport.RefusedResult{Outcome: transport.RefusedOutcome(input), Err: err})
					}
				}
			}
		}
	}
	if lines := metricsOf(t, reader); len(lines) > 200 {
		t.Errorf("got %d series, want 200 at most", len(lines))
	} else if text := strings.Join(lines, "\n"); strings.Contains(text, "made up") {
		t.Errorf("a made-up value created a series:\n%s", text)
	}
}

// A program without a logger must not lose a payment.
func TestNewLogger_NilLoggerHasNoHooks(t *testing.T) {
	for _, logger := range []*telemetry.Logger{nil, {}, telemetry.NewLogger(nil)} {
		source, requests := logger.SourceHooks(), logger.TransportHooks()
		if source.Issue != nil || source.Acquire != nil || source.Renew != nil || requests.Refused != nil || requests.Retry != nil {
			t.Error("the Logger has hooks, want none")
		}
	}
}

// A panickingError panics in all its methods.
type panickingError struct{}

func (panickingError) Error() string { panic("Error") }
func (panickingError) Unwrap() error { panic("Unwrap") }
func (panickingError) As(any) bool   { panic("As") }
func (panickingError) Is(error) bool { panic("Is") }

// An exporter drops a whole batch because of an id that it cannot encode.
func TestCorrelationID_ImplausibleIsLeftOut(t *testing.T) {
	for id, want := range map[string]bool{"": false, "b7c6d5e4": true, "\xff": false, strings.Repeat("x", 129): false} {
		provider, spans := newRecorder()
		_, done := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks().Issue(t.Context(), t.Context(), tokensource.IssueInfo{})
		done(tokensource.IssueResult{Err: &tokensource.Error{Kind: tokensource.ErrUnavailable, CorrelationID: id}})
		if got := strings.Contains(render(spans.Ended()[0].Attributes()), "pismo.correlation_id"); got != want {
			t.Errorf("the id %.10q is in the span: %v, want %v", id, got, want)
		}
	}
}

// A program without telemetry gets an error and no panic.
func TestObserveSource_RefusesAZeroTelemetry(t *testing.T) {
	pismo := passporttest.NewInProcess(t, passporttest.Config{})
	for _, tel := range []*telemetry.Telemetry{nil, {}} {
		if _, err := tel.ObserveSource(newSource(t, pismo, tokensource.Hooks{})); err == nil {
			t.Error("no error")
		}
		if tel.Propagate(nil) == nil {
			t.Error("no RoundTripper")
		}
	}
}
