// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// describe returns the failure that an error belongs to, and the error's text
// for the log. The text holds nothing from a request, and no secret.
func describe(err error) (failure, string) {
	known := classify(err)
	kind, text := string(tokensource.ErrMisconfigured), known.Error()
	if token, ok := errors.AsType[*tokensource.Error](err); ok {
		kind, text = string(token.Kind), constantText(token)
	} else if upgrade, ok := errors.AsType[*upgradeError](err); ok {
		kind, text = upgradeUnsupported.ErrorType(), upgrade.Error()
	} else if named, ok := known.(interface{ ErrorType() string }); ok {
		kind = named.ErrorType()
		text += networkReason(err)
	}
	if kind != string(tokensource.ErrMisconfigured) {
		return failure{kind: kind}, text
	}
	if errors.Is(known, tokensource.ErrMisconfigured) {
		text = misconfiguration(err)
	}
	return failure{kind, text}, text
}

// misconfiguration returns the text of an error that says what the program has
// to change.
func misconfiguration(err error) string {
	if token, ok := errors.AsType[*tokensource.Error](err); ok {
		return constantText(token)
	}
	if misuse, ok := errors.AsType[*misuseError](err); ok {
		return misuse.Error()
	}
	if unsent, ok := errors.AsType[transport.UnsentError](err); ok {
		return unsent.Error()
	}
	if fault, ok := errors.AsType[*tokensource.ConfigError](err); ok {
		return fault.Error()
	}
	return tokensource.ErrMisconfigured.Error()
}

// constantText returns the text of an error without the time to wait, which
// differs each time.
func constantText(err *tokensource.Error) string {
	constant := *err
	constant.RetryAfter = 0
	return constant.Error()
}

// networkReason returns a colon and the text of an error of the network, or "".
// Such a text holds names and addresses only. Other texts may hold data of a
// request.
func networkReason(err error) string {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return ": " + lookup.Error()
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return ": " + operation.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ": " + certificate.Error()
	}
	return ""
}
