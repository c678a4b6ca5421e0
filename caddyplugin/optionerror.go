// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// An optionError is a fault in an option.
type optionError struct {
	option string
	cause  error
}

func (f *optionError) Error() string { return f.option + ": " + f.cause.Error() }

func (f *optionError) Unwrap() error { return f.cause }

// remedies holds a remedy for each error of package transport that keeps a
// request from being sent. The texts name the options of a Caddyfile.
var remedies = map[error]string{
	transport.ErrHostNotListed:   "the upstream is not in hosts of the client; add what its certificate proves, or set tls_server_name",
	transport.ErrPlaintext:       "the upstream would get the token in the clear; use https://",
	transport.ErrHostHeader:      "the Host of the request is not in hosts of the client; remove header_up Host, or add it there",
	transport.ErrNoAccount:       "no account is known; put pismo_auth in front of reverse_proxy, use pismo_proxy, or set account in transport pismo",
	transport.ErrAccountConflict: "account of transport pismo is not the account that pismo_auth has found; leave it out there",
	errOtherClient:               "transport pismo and pismo_auth in front of it have different clients",
}

// remedyOf returns the log text for a request that was not sent.
func remedyOf(err error) string {
	for cause, remedy := range remedies {
		if errors.Is(err, cause) {
			return remedy
		}
	}
	return err.Error()
}

// optionNames maps the fields of the library to the options of a Caddyfile.
var optionNames = strings.NewReplacer(
	"S2S.BaseURL", "base_url",
	"S2S.Credentials.Key", "server_key",
	"S2S.Credentials.Secret", "server_secret",
	"S2S.SecretField", "secret_field",
	"S2S.Header", "header",
	"S2S.Fields", "fields",
	"OpenID.BaseURL", "base_url",
	"OpenID.Header", "header",
	"OpenID.KeyID", "openid: key_id", // before Key: the first match decides
	"OpenID.Key", "openid: key",
	"OpenID.Issuer", "openid: issuer",
	"OpenID.Subject", "openid: subject",
	"OpenID.Audience", "openid: audience",
	"OpenID.TenantID", "openid: tenant",
	"OpenID.Group", "openid: group",
	"OpenID.OrganizationUID", "openid: organization_uid",
	"OpenID.TokenPath", "openid: token_path",
	"OpenID.AssertionLifetime", "openid: assertion_lifetime",
	"Config.MaxAccounts", "max_accounts",
	"Config.MaxIssuances", "max_issuances",
	"Config.IssueTimeout", "issue_timeout",
	"Config.Hosts", "hosts",
)

// optionErrorsOf returns the faults that the library reports, with the names of
// options instead of fields.
func optionErrorsOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []error
		for _, part := range joined.Unwrap() {
			faults = append(faults, optionErrorsOf(part))
		}
		return errors.Join(faults...)
	}
	if config, ok := errors.AsType[*tokensource.ConfigError](err); ok {
		return &optionError{optionNames.Replace(config.Field), errors.New(config.Reason)}
	}
	return err
}
