// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"crypto/tls"
	"net/http"

	"github.com/pismoauth/pismoauth/internal/base"
)

// RoundTripper returns a transport that presents the certificate, for token
// requests and resource calls:
//
//	rt := certificate.RoundTripper(nil)
//	issuer := &passport.S2S{…, Client: &http.Client{Transport: rt}}
//	resources, err := transport.New(transport.Config{…, Base: rt})
//
// When the files have changed, new requests use new connections, which present
// the new certificate. Running requests finish on the old connections, which
// are closed when they are idle. So the old certificate can be revoked after
// the next request has been answered. With
// [ClientCertificate.GetClientCertificate] alone, connections in use stay open,
// and present the old certificate as long as there is traffic.
//
// The connections have the settings of base; nil means those of
// transport.NewBase. The RoundTripper copies base and does not use it: later
// changes to base, and its CloseIdleConnections, have no effect. The copies
// present this certificate only, and resume no TLS session of an earlier
// certificate. They do not have the protocols of RegisterProtocol. If base has
// a DialTLS or a DialTLSContext, these functions do the handshakes, and must
// present the certificate themselves.
//
// The RoundTripper checks both files before each request. It is safe for
// concurrent use, and has a method CloseIdleConnections, which
// [http.Client.CloseIdleConnections] calls. Share one RoundTripper: each has
// its own connections.
func (c *ClientCertificate) RoundTripper(base *http.Transport) http.RoundTripper {
	return newCertificateTransport(c, base)
}

// A certificateTransport is an http.RoundTripper with a generation of
// connections for each certificate.
type certificateTransport struct {
	certificate *ClientCertificate
	base        *http.Transport
	connections base.Connections
}

func newCertificateTransport(c *ClientCertificate, template *http.Transport) *certificateTransport {
	if template == nil {
		template = base.New()
	}
	return &certificateTransport{certificate: c, base: base.Clone(template)}
}

// RoundTrip implements [http.RoundTripper].
func (c *certificateTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.generation().RoundTrip(req)
}

// CloseIdleConnections closes the connections that are idle.
func (c *certificateTransport) CloseIdleConnections() { c.connections.CloseIdleConnections() }

// generation returns the connections that present the certificate in the files.
func (c *certificateTransport) generation() *base.Generation {
	return c.connections.Current(c.certificate.latest().number, func(*http.Transport) *base.Generation {
		transport := base.Clone(c.base)
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.GetClientCertificate = c.certificate.GetClientCertificate
		return base.Own(transport)
	})
}
