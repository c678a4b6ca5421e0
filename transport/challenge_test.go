// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"testing"

	"github.com/pismoauth/pismoauth/transport"
)

// These challenges are written as gateways write them. Most of them violate the
// grammar.
func TestChallenge_BearerError(t *testing.T) {
	const token, scope = "invalid_token", "insufficient_scope"
	for _, test := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{`Bearer`}, ""},
		{[]string{`Bearer error="invalid_token"`}, token},
		{[]string{`bearer error=invalid_token`}, token},
		{[]string{`BEARER ERROR="INVALID_TOKEN"`}, "INVALID_TOKEN"},
		{[]string{`Bearer  error="invalid_token"`}, token},
		{[]string{"Bearer\terror=\"invalid_token\""}, token},
		{[]string{`Bearer, error="invalid_token"`}, token},
		{[]string{`Bearer,error="invalid_token"`}, token},
		{[]string{`Bearer: error="invalid_token"`}, token},
		{[]string{`Bearer error='invalid_token'`}, token},
		{[]string{`Bearer error = "invalid_token"`}, token},
		{[]string{`Bearer realm = "x" ,  error = "insufficient_scope" `}, scope},
		{[]string{`Bearer realm="x"; error="invalid_token"`}, token},
		{[]string{`Bearer realm="x"error="invalid_token"`}, token},
		{[]string{`Bearer scope="" error="invalid_token" error_description="the token has expired"`}, token},
		{[]string{`Bearer realm="service" error="invalid_token" error_description="The access token is invalid or has expired"`}, token},
		{[]string{`Bearer scope="a b" error="insufficient_scope"`}, scope},
		{[]string{`Bearer error_uri=https://a.example/x=1?y=2, error=invalid_token`}, token},
		{[]string{`Bearer authorization_uri="https://login.example/a=b", error="invalid_token"`}, token},

		// Text in quotes is not a parameter.
		{[]string{`Bearer realm="say error=\"invalid_token\" aloud" error="insufficient_scope"`}, scope},
		{[]string{`Bearer realm="a, Basic b, error=\"invalid_token\", ", error="insufficient_scope"`}, scope},
		{[]string{`Bearer error_description="error=\"invalid_token\""`}, ""},
		{[]string{`Bearer realm="x\\", error="invalid_token"`}, token},
		{[]string{`Bearer realm="x\\\", error=\"insufficient_scope", error="invalid_token"`}, token},
		{[]string{`Bearer realm="say \"hi, error=\"", error="invalid_token"`}, token},
		{[]string{`Bearer error="invalid_token", error_description="cut off`}, token},
		{[]string{`Bearer error_description="cut off, error="invalid_token`}, ""},
		{[]string{`Bearer error="invalid\_token"`}, token},
		{[]string{`Bearer error=" invalid_token "`}, token},

		// Several challenges.
		{[]string{`Basic realm="x", Bearer error="invalid_token"`}, token},
		{[]string{`Basic realm="x" Bearer error="invalid_token"`}, token},
		{[]string{`Basic realm="x"`, `Bearer error="invalid_token"`}, token},
		{[]string{`DPoP algs="ES256 PS256", Bearer realm="a, b", error="invalid_token"`}, token},
		{[]string{`Negotiate YIIabc==, Bearer error="invalid_token"`}, token},
		{[]string{`Negotiate YIIabc, Bearer error="invalid_token"`}, token},
		{[]string{`Negotiate, Bearer error="invalid_token"`}, token},
		{[]string{`Negotiate Bearer error="invalid_token"`}, token},
		{[]string{`Negotiate abc/d+e-f._~g==`, `Bearer error="insufficient_scope"`}, scope},
		{[]string{`Basic realm="x", error="invalid_token"`}, ""},
		{[]string{`Bearer realm="x", DPoP algs="ES256", error="invalid_token"`}, ""},
		{[]string{`Bearer realm="x", Negotiate YII==, error="invalid_token"`}, ""},
		{[]string{`Digest bearer="x", error="invalid_token"`}, ""},
		{[]string{`Basic Bearer="x", error="invalid_token"`}, ""},

		// Contradictory challenges are no reason to replay.
		{[]string{`Bearer error="invalid_token", error="insufficient_scope"`}, scope},
		{[]string{`Bearer error="insufficient_scope"`, `Bearer error="invalid_token"`}, scope},

		// Malformed challenges.
		{[]string{`"`}, ""},
		{[]string{`=`}, ""},
		{[]string{`,,,`}, ""},
		{[]string{`Bearer =, error`}, ""},
		{[]string{`Bearer "error"="invalid_token"`}, ""},
		{[]string{`error="invalid_token"`}, ""},
		{[]string{`Bearer error=`}, ""},
		{[]string{`Bearer error`}, ""},
	} {
		if got := transport.BearerError(test.values); got != test.want {
			t.Errorf("%q: got %q, want %q", test.values, got, test.want)
		}
	}
}
