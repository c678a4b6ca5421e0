package passport

import (
	"crypto/tls"
	"net/http"

	"github.com/pismoauth/pismoauth/internal/base"
)

// RoundTripper returns a transport for everything that shows the certificate:
//
//	rt := certificate.RoundTripper(nil)
//	issuer := &passport.S2S{…, Client: &http.Client{Transport: rt}}
//	resources, err := transport.New(transport.Config{…, Base: rt})
//
// When the files have changed, new requests go out on new connections, which
// show the new certificate. Requests that are on their way finish on the old
// connections; these are closed as soon as they are idle. So a certificate can
// be revoked once the next request has been answered. With
// [ClientCertificate.GetClientCertificate] alone, connections that are in use
// stay, and go on showing the old certificate for as long as there is traffic.
//
// Base is what the connections are made like; nil means like those of
// transport.NewBase. It is copied, and is not used itself: later changes to it,
// and its CloseIdleConnections, have no effect. The copies present this
// certificate and no other, resume no TLS session of an earlier one, and do not
// have what was added with RegisterProtocol. A base with a DialTLS or a
// DialTLSContext does its handshakes itself: there the certificate is for those
// functions to present.
//
// The RoundTripper looks at both files before each request. It is safe for
// concurrent use, and has a method CloseIdleConnections, which
// [http.Client.CloseIdleConnections] calls. Make one and share it: each has
// connections of its own.
func (c *ClientCertificate) RoundTripper(base *http.Transport) http.RoundTripper {
	return newCertificateTransport(c, base)
}

// certificateTransport is an http.RoundTripper whose generations of connections show one
// certificate each.
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

// generation returns the connections that show the certificate of the files.
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
