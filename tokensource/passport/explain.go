package passport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/pismoauth/pismoauth/tokensource"
)

// explainConstant returns an error whose text is that of cause, which is a constant.
func explainConstant(kind tokensource.ErrorKind, cause error) *tokensource.Error {
	return tokensource.NewError(kind, tokensource.Explain(cause.Error(), cause))
}

// exchangeError returns the error of a request to host that had no answer, or no
// whole one. Its text says which host failed, and how: it is made of the host's
// name, of addresses, and of constants. The text of err is not part of it, since
// net/http quotes the URL and what a server sent.
func exchangeError(ctx context.Context, err error, host string, p *progress) *tokensource.Error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok && e.Kind == tokensource.ErrMisconfigured {
		return e // The client asks for a token to be let through: the one it is to get.
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return tokensource.NewError(tokensource.ErrTimeout, tokensource.Explain(host+": "+timeoutReason(p), err))
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return tokensource.NewError(tokensource.ErrCanceled, err)
	case errors.Is(err, context.Canceled):
		phase, _ := p.reached()
		text := host + ": given up by the HTTP client while " + phase.String()
		return tokensource.NewError(tokensource.ErrUnavailable, tokensource.Explain(text, notCanceled(err)))
	}
	reason := reasonOf(err)
	if timeout, ok := errors.AsType[net.Error](err); reason == "" && ok && timeout.Timeout() {
		reason = timeoutReason(p)
	}
	if reason == "" {
		reason = phaseReason(p)
	}
	return tokensource.NewError(tokensource.ErrUnavailable, tokensource.Explain(host+": "+reason, err))
}

// notCanceled returns an error with the text of err that is not a
// context.Canceled. That a caller left is told by a caller's context alone.
func notCanceled(err error) error { return errors.New(err.Error()) }

// timeoutReason says what took too long.
func timeoutReason(p *progress) string {
	phase, peer := p.reached()
	text := "timed out while " + phase.String()
	if peer != "" && phase < waiting {
		text += " (" + peer + ")"
	}
	return text
}

// phaseReason says what has failed, if all that is known is when.
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

// reasonOf returns what err says in words of its own, or "" if it is an error of
// which nothing is known.
func reasonOf(err error) string {
	for _, reason := range []func(error) string{certificateReason, alertReason, resolverReason, proxyReason, connectionReason} {
		if text := reason(err); text != "" {
			return text
		}
	}
	return ""
}

// certificateReason is about a server whose certificate does not convince us.
func certificateReason(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired && invalid.Cert != nil {
			return fmt.Sprintf("its certificate is valid from %s to %s only, check the clock",
				invalid.Cert.NotBefore.UTC().Format("2006-01-02"), invalid.Cert.NotAfter.UTC().Format("2006-01-02"))
		}
		return "its certificate is not valid"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another host name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is signed by an unknown authority: if a proxy inspects TLS, add its authority to the client's RootCAs"
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return "its certificate cannot be verified: this system has no certificate authorities"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate could not be verified"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "it does not speak TLS, check the scheme and the port of the base URL"
	}
	return ""
}

// alertReason is about a server that ended the connection with a TLS alert (RFC
// 8446, section 6.2). The texts of alerts are constants of crypto/tls.
func alertReason(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return ""
	}
	alert := op.Err.Error()
	switch {
	case !strings.HasPrefix(alert, "tls: "):
		return "" // Of somebody else's making.
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "access denied"):
		return "it rejected our client certificate, or misses one (" + alert + ")"
	case strings.Contains(alert, "handshake failure"): // With TLS 1.2 that may be all it says.
		return "it refused the TLS handshake, perhaps for want of a client certificate (" + alert + ")"
	default:
		return "it refused the TLS handshake (" + alert + ")"
	}
}

// resolverReason is about a host name that leads nowhere.
func resolverReason(err error) string {
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case dns.IsNotFound:
		return "there is no host " + dns.Name
	case dns.IsTimeout:
		return "the name server did not answer for " + dns.Name
	default:
		return "the name server failed for " + dns.Name
	}
}

// proxyReason is about a proxy that would not connect us.
func proxyReason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && strings.HasPrefix(op.Op, "socks") {
		return "the SOCKS proxy did not connect to it"
	}
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	// net/http makes an error of the status that a proxy answered with.
	for status := http.StatusBadRequest; status < 600; status++ {
		if text := http.StatusText(status); text != "" && err.Error() == text {
			return fmt.Sprintf("a proxy refused to connect to it (%d %s)", status, text)
		}
	}
	return ""
}

// connectionReason is about what the network, or the system, says.
func connectionReason(err error) string {
	reason := ""
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		reason = errno.Error()
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		reason = "the connection was closed before the end of the answer"
	}
	op, ok := errors.AsType[*net.OpError](err)
	proxy := ""
	if ok && op.Op == "proxyconnect" {
		proxy = "the proxy at "
		op, ok = errors.AsType[*net.OpError](op.Err)
	}
	switch {
	case !ok || op.Op != "dial" || op.Addr == nil:
		return reason
	case op.Timeout():
		reason = "timed out"
	case reason == "":
		reason = "failed"
	}
	return "connecting to " + proxy + op.Addr.String() + ": " + reason
}
