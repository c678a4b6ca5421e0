// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// OpenID configures a client that obtains its tokens with signed assertions.
// Pismo gives the values of issuer, subject, audience and tenant. Placeholders
// in all texts are replaced when the configuration is loaded.
type OpenID struct {
	// The claim iss. Required.
	Issuer string `json:"issuer,omitempty"`

	// The claim sub. Required.
	Subject string `json:"subject,omitempty"`

	// The claim aud. Required.
	Audience string `json:"audience,omitempty"`

	// The organization's id, the claim tenant_id. Required.
	Tenant string `json:"tenant,omitempty"`

	// The permission group, such as `pismo-v1:accounts:rw`. It decides which
	// endpoints the tokens reach: define a client for each group. Required.
	Group string `json:"group,omitempty"`

	// The PEM file with the RSA private key. It is read each time that a token is
	// issued. Further files hold the next keys: if the token endpoint refuses a
	// key, the client tries the next key. Required, unless there is a signer.
	KeyFiles []string `json:"key_files,omitempty"`

	// A signer in place of a key file: a KMS or an HSM. A module of the
	// namespace implements [Signer]. None comes with this plugin.
	SignerRaw json.RawMessage `json:"signer,omitempty" caddy:"namespace=pismo.signers inline_key=module"`

	// How long an assertion is valid, from a minute to an hour. Default: `1h`.
	AssertionLifetime caddy.Duration `json:"assertion_lifetime,omitempty"`

	// The claim uid in assertions for the organization. Default: none.
	OrganizationUID string `json:"organization_uid,omitempty"`

	// The kid in the header of assertions. Default: none.
	KeyID string `json:"key_id,omitempty"`

	// The path of the token endpoint below the base URL. Default:
	// `passport/v1/oauth2/token`.
	TokenPath string `json:"token_path,omitempty"`
}

// A Signer is the interface of a module in the namespace pismo.signers. Its
// public key is an RSA key, and it signs with RSASSA-PKCS1-v1_5; see
// [passport.SignerKey]. After a reload, the client uses the signer of the new
// configuration, and Caddy cleans up the old signer.
type Signer interface {
	caddy.Module
	crypto.Signer
}

// openIDIssuer returns the issuer of a resolved client that has OpenID. The
// signer is nil if the client has key files.
func (c *Client) openIDIssuer(base http.RoundTripper, signer crypto.Signer) *passport.OpenID {
	o := c.OpenID
	key := passport.SignerKey(signer)
	if len(o.KeyFiles) > 0 {
		key = passport.FileKey(o.KeyFiles[0], o.KeyFiles[1:]...)
	}
	return &passport.OpenID{
		BaseURL:              c.BaseURL,
		Client:               &http.Client{Transport: base},
		Header:               c.Header,
		Bare:                 c.Bare,
		DangerouslyAllowHTTP: c.DangerouslyAllowHTTP,
		TokenPath:            o.TokenPath,
		Key:                  key,
		Issuer:               o.Issuer,
		Subject:              o.Subject,
		Audience:             o.Audience,
		TenantID:             o.Tenant,
		Group:                o.Group,
		AssertionLifetime:    time.Duration(o.AssertionLifetime),
		OrganizationUID:      o.OrganizationUID,
		KeyID:                o.KeyID,
	}
}

// resolve returns a copy with the placeholders replaced.
func (o *OpenID) resolve(r *resolver) *OpenID {
	if o == nil {
		return nil
	}
	resolved := *o
	resolved.KeyFiles = slices.Clone(o.KeyFiles)
	for name, text := range map[string]*string{
		"issuer": &resolved.Issuer, "subject": &resolved.Subject, "audience": &resolved.Audience, "tenant": &resolved.Tenant,
		"group": &resolved.Group, "organization_uid": &resolved.OrganizationUID, "key_id": &resolved.KeyID,
		"token_path": &resolved.TokenPath,
	} {
		*text = r.text("openid: "+name, *text)
	}
	r.list("openid: key_file", resolved.KeyFiles)
	return &resolved
}

// checkOptions returns an error for options of a client that conflict.
func (c *Client) checkOptions() error {
	if err := c.checkStoreOptions(); err != nil {
		return err
	}
	switch {
	case c.OpenID == nil && (c.ServerKey == "" || c.ServerSecret == ""):
		return errors.New("needs base_url, server_key and server_secret, or base_url and openid")
	case c.OpenID == nil:
		return nil
	case c.ServerKey != "" || c.ServerSecret != "" || c.SecretField != "" || len(c.Fields) > 0:
		return errors.New("has openid: remove server_key, server_secret, secret_field and field")
	case (len(c.OpenID.KeyFiles) > 0) == (c.OpenID.SignerRaw != nil):
		return errors.New("openid needs either key_file or signer")
	}
	return nil
}

// loadSigner returns the signer of a client, or nil if it has none.
func (c *Client) loadSigner(ctx caddy.Context) (crypto.Signer, error) {
	if c.OpenID == nil || c.OpenID.SignerRaw == nil {
		return nil, nil
	}
	loading := *c.OpenID // LoadModule empties SignerRaw, which the digest contains.
	module, err := ctx.LoadModule(&loading, "SignerRaw")
	if err != nil {
		return nil, &optionError{"openid: signer", err}
	}
	signer, ok := module.(crypto.Signer)
	if !ok {
		return nil, &optionError{"openid: signer", errors.New("the module does not implement caddyplugin.Signer")}
	}
	return signer, nil
}

// A sharedSigner signs with the signer of the newest configuration.
type sharedSigner struct{ client *sharedClient }

func (s sharedSigner) current() crypto.Signer {
	s.client.mu.RLock()
	defer s.client.mu.RUnlock()
	return s.client.signer
}

// Public returns the public key of the newest configuration's signer.
func (s sharedSigner) Public() crypto.PublicKey { return s.current().Public() }

// Sign signs with the newest configuration's signer.
func (s sharedSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.current().Sign(random, digest, opts)
}
