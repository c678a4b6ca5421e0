// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
)

// pathReadings are the ways in which a server may derive the path that it uses.
func pathReadings(escaped string) []string {
	var all []string
	for range 4 {
		for _, separators := range []string{"/", `/\`} {
			for _, parameters := range []bool{false, true} {
				for _, ends := range []string{"", "?#"} {
					all = append(all, reading(escaped, separators, ends, parameters))
				}
			}
		}
		escaped = decodeLeniently(escaped)
	}
	return all
}

func reading(p, separators, ends string, parameters bool) string {
	if i := strings.IndexAny(p, ends); i >= 0 {
		p = p[:i]
	}
	segments := strings.FieldsFunc(p, func(c rune) bool { return strings.ContainsRune(separators, c) })
	for i, segment := range segments {
		if parameters {
			segments[i], _, _ = strings.Cut(segment, ";")
		}
	}
	return path.Clean("/" + strings.Join(segments, "/"))
}

// decodeLeniently decodes valid escapes, and keeps invalid escapes.
func decodeLeniently(p string) string {
	for i := 0; i+2 < len(p); i++ {
		if decoded, err := url.PathUnescape(p[i : i+3]); err == nil && p[i] == '%' {
			p = p[:i] + decoded + p[i+3:]
		}
	}
	return p
}

// Servers behind the proxy read a path in different ways. Each reading must
// stay below the path of the target.
func FuzzTarget_StaysBelowProxyPath(f *testing.F) {
	for _, target := range append(dotSegmentTargets, cleanTargets...) {
		f.Add(target)
	}
	m := newMiddleware(f, middleware.Config{
		Source:  newSource(f, tokensource.Config{Issuer: grantingIssuer("token")}),
		Account: middleware.FixedAccount(acct(f, alice)),
	})
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.URL, r.RequestURI = u, target
		out, _, err := m.Admit(r)
		if err != nil {
			return
		}
		p := httputil.ProxyRequest{In: out, Out: out.Clone(out.Context())}
		p.SetURL(&url.URL{Scheme: "https", Host: "pismo.example", Path: "/only/below/here"})
		check(t, "Opaque", p.Out.URL.Opaque, "")
		for _, read := range pathReadings(p.Out.URL.EscapedPath()) {
			if read != "/only/below/here" && !strings.HasPrefix(read, "/only/below/here/") {
				t.Errorf("%q is read as %q", target, read)
			}
		}
	})
}
