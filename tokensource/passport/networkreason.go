// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// reasonOf returns the reason of a failure, or "" if err is not a known error.
// The text consists of names, addresses and constants.
func reasonOf(err error) string {
	for _, reason := range []func(error) string{certificateReason, alertReason, resolverReason, proxyReason, connectionReason} {
		if text := reason(err); text != "" {
			return text
		}
	}
	return ""
}

// certificateReason returns the reason why the server's certificate is refused,
// or "".
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
		return "" // The error is not from crypto/tls.
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "access denied"):
		return "it rejected the client certificate, or requires one (" + alert + ")"
	case strings.Contains(alert, "handshake failure"): // A server with TLS 1.2 may say no more.
		return "it refused the TLS handshake, perhaps because it requires a client certificate (" + alert + ")"
	default:
		return "it refused the TLS handshake (" + alert + ")"
	}
}

// resolverReason returns the reason why a host name cannot be resolved, or "".
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

// proxyReason returns the reason why a proxy made no connection, or "".
func proxyReason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && strings.HasPrefix(op.Op, "socks") {
		return "the SOCKS proxy did not connect to it"
	}
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	// The innermost error of net/http has the text of the proxy's status.
	for status := http.StatusBadRequest; status < 600; status++ {
		if text := http.StatusText(status); text != "" && err.Error() == text {
			return fmt.Sprintf("a proxy refused to connect to it (%d %s)", status, text)
		}
	}
	return ""
}

// connectionReason returns the reason of the network or the operating system,
// or "".
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
