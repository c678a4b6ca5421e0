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

// No value that comes from outside makes series, and none makes a hook panic:
// hooks run within a payment.
func TestHooks_TakeOddInput(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	provider, _ := recorded()
	tel := newTelemetry(t, nil, telemetry.WithTracerProvider(provider), telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	metricsOf(t, reader)
	var typed *tokensource.Error
	var zero telemetry.Telemetry
	oddities := []string{"", "made up", "\xff", strings.Repeat("x", 10_000)}
	errs := []error{nil, typed, wrong{}, context.Canceled, &tokensource.Error{}}
	for _, odd := range oddities {
		errs = append(errs, &tokensource.Error{Kind: tokensource.Kind(odd), CorrelationID: odd, StatusCode: -1})
	}
	for _, tel := range []*telemetry.Telemetry{tel, nil, &zero} {
		logger := telemetry.NewLogger(slog.New(slog.DiscardHandler))
		source := tokensource.JoinHooks(tel.Source(), logger.SourceHooks())
		requests := transport.JoinHooks(tel.Transport(), logger.TransportHooks())
		for _, ctx := range []context.Context{nil, t.Context()} {
			for _, err := range errs {
				for _, odd := range oddities {
					_, done1 := source.Issue(ctx, ctx, tokensource.IssueInfo{Reason: tokensource.Reason(odd)})
					done1(tokensource.IssueResult{Err: err, Attempts: -1, Serial: 1 << 63})
					if source.Acquire != nil {
						_, done2 := source.Acquire(ctx, tokensource.AcquireInfo{Origin: tokensource.Origin(odd), Issuance: 1 << 63})
						done2(tokensource.AcquireResult{Err: err})
						_, done3 := source.Renew(ctx, tokensource.RenewInfo{Outcome: tokensource.RenewSuppressed})
						done3(tokensource.RenewResult{Err: err})
					}
					if _, done := requests.Refused(ctx, transport.RefusedInfo{Verdict: transport.Verdict(odd)}); done != nil {
						done(transport.RefusedResult{Outcome: transport.Outcome(odd), Err: err})
					}
					if _, done := requests.Refused(ctx, transport.RefusedInfo{Verdict: transport.TokenRefused}); done != nil {
						done(transport.RefusedResult{Outcome: transport.Outcome(odd), Err: err})
					}
				}
			}
		}
	}
	if lines := metricsOf(t, reader); len(lines) > 200 {
		t.Errorf("%d series", len(lines))
	} else if text := strings.Join(lines, "\n"); strings.Contains(text, "made up") {
		t.Errorf("what was made up has become a series:\n%s", text)
	}
}

// A program that has no logger must not lose a payment to that.
func TestNewLogger_DoesNothingWithoutALogger(t *testing.T) {
	for _, logger := range []*telemetry.Logger{nil, {}, telemetry.NewLogger(nil)} {
		source, requests := logger.SourceHooks(), logger.TransportHooks()
		if source.Issue != nil || source.Acquire != nil || source.Renew != nil || requests.Refused != nil || requests.Retry != nil {
			t.Error("there are hooks")
		}
	}
}

// A wrong error panics when anybody looks at it.
type wrong struct{}

func (wrong) Error() string { panic("Error") }
func (wrong) Unwrap() error { panic("Unwrap") }
func (wrong) As(any) bool   { panic("As") }
func (wrong) Is(error) bool { panic("Is") }

// An identifier that an exporter cannot encode would cost it the whole batch.
func TestCorrelationID_IsShownOnlyIfPlausible(t *testing.T) {
	for id, want := range map[string]bool{"": false, "b7c6d5e4": true, "\xff": false, strings.Repeat("x", 129): false} {
		provider, spans := recorded()
		_, done := newTelemetry(t, telemetry.WithTracerProvider(provider)).Source().Issue(t.Context(), t.Context(), tokensource.IssueInfo{})
		done(tokensource.IssueResult{Err: &tokensource.Error{Kind: tokensource.ErrUnavailable, CorrelationID: id}})
		if got := strings.Contains(render(spans.Ended()[0].Attributes()), "pismo.correlation_id"); got != want {
			t.Errorf("%.10q is shown: %v", id, got)
		}
	}
}

// A program that goes on without telemetry must be told, but not by a panic.
func TestObserveSource_RefusesAZeroTelemetry(t *testing.T) {
	pismo := passporttest.NewUnstarted(t, passporttest.Config{})
	for _, tel := range []*telemetry.Telemetry{nil, {}} {
		if _, err := tel.ObserveSource(newSource(t, pismo, tokensource.Hooks{})); err == nil {
			t.Error("no error")
		}
		if tel.Inject(nil) == nil {
			t.Error("no RoundTripper")
		}
	}
}
