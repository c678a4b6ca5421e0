// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"errors"
	"net"

	"github.com/pismoauth/pismoauth/tokensource"
)

// explainConstant returns an error with the text of cause, which is a constant.
func explainConstant(kind tokensource.ErrorKind, cause error) *tokensource.Error {
	return tokensource.NewError(kind, tokensource.SafeError(cause.Error(), cause))
}

// exchangeError returns the error of a request to host that had no complete
// answer. Its text says which host failed, and how. The text consists of the
// host's name, addresses and constants. It does not contain the text of err,
// since net/http quotes the URL and parts of a server's answer.
func exchangeError(ctx context.Context, err error, host string, p *progress) *tokensource.Error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok && e.Kind == tokensource.ErrMisconfigured {
		return e // The client authenticates its requests with the token to be issued.
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return tokensource.NewError(tokensource.ErrTimeout, tokensource.SafeError(host+": "+timeoutReason(p), err))
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return tokensource.NewError(tokensource.ErrCanceled, err)
	case errors.Is(err, context.Canceled):
		phase, _ := p.reached()
		text := host + ": the HTTP client canceled the request while " + phase.String()
		return tokensource.NewError(tokensource.ErrUnavailable, tokensource.SafeError(text, notCanceled(err)))
	}
	reason := reasonOf(err)
	if timeout, ok := errors.AsType[net.Error](err); reason == "" && ok && timeout.Timeout() {
		reason = timeoutReason(p)
	}
	if reason == "" {
		reason = phaseReason(p)
	}
	return tokensource.NewError(tokensource.ErrUnavailable, tokensource.SafeError(host+": "+reason, err))
}

// notCanceled returns an error with the text of err that is not a
// context.Canceled. Only the caller's own context says that the caller has
// left.
func notCanceled(err error) error { return errors.New(err.Error()) }

// timeoutReason says in which phase the time ran out.
func timeoutReason(p *progress) string {
	phase, peer := p.reached()
	text := "timed out while " + phase.String()
	if peer != "" && phase < waiting {
		text += " (" + peer + ")"
	}
	return text
}

// phaseReason returns the reason of a failure of which only the phase is known.
func phaseReason(p *progress) string {
	switch phase, _ := p.reached(); phase {
	case waiting:
		return "the connection was lost before the answer"
	case reading:
		return "the answer broke off or is not HTTP"
	default:
		return "the request could not be sent"
	}
}
