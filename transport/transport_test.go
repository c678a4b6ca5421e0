// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A snapshot is the visible state of a request.
type snapshot map[string]string

func snapshotOf(req *http.Request) snapshot {
	s := snapshot{"context": fmt.Sprintf("%p", req.Context())}
	v := reflect.ValueOf(req).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch value := v.Field(i); {
		case !field.IsExported():
		case field.Name == "Body" || field.Type.Kind() == reflect.Func:
			s[field.Name] = fmt.Sprintf("%p", value.Interface()) // identity
		default:
			s[field.Name] = fmt.Sprintf("%#v", value.Interface())
		}
	}
	for name, values := range req.Header { // including the spare capacity
		s["Header "+name] = fmt.Sprintf("%q", values[:cap(values)])
	}
	s["URL"] = req.URL.String()
	return s
}

func TestRoundTrip_LeavesRequestUnchanged(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(*fakeIssuer, sentRequest) (*http.Response, error)
		body   func() io.Reader
	}{
		{"answered", nil, func() io.Reader { return strings.NewReader("payment") }},
		{"failed", func(*fakeIssuer, sentRequest) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, func() io.Reader { return strings.NewReader("payment") }},
		{"replayed", func(m *fakeIssuer, s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				m.revoke()
			}
			return m.answer(s)
		}, func() io.Reader { return strings.NewReader("payment") }},
		{"read before sending", nil, func() io.Reader { return withoutGetBody(strings.NewReader("payment")) }},
		{"retried", func(_ *fakeIssuer, s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				return respond(http.StatusServiceUnavailable, ""), nil
			}
			return respond(http.StatusOK, ""), nil
		}, func() io.Reader { return strings.NewReader("payment") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &fakeIssuer{}
				w := &fakeBase{}
				if test.answer != nil {
					w.answer = func(s sentRequest) (*http.Response, error) { return test.answer(m, s) }
				}
				// The base changes its header, as real bases
				// do.
				base := roundTripper(func(req *http.Request) (*http.Response, error) {
					for name := range req.Header {
						req.Header.Add(name, "added")
					}
					req.Header.Set("X-Field-1", "set")
					req.Header.Del("X-Field-2")
					req.Header.Set("X-Own", "new")
					resp, err := w.RoundTrip(req)
					req.Host, req.ContentLength, req.Body = "changed", 7, nil
					return resp, err
				})
				rt := newTransport(t, m, base)
				ctx := transport.AllowRetry(t.Context())
				req := newRequest(t, http.MethodPost, target, test.body()).WithContext(ctx)
				req.ContentLength = int64(len("payment"))
				for i := range 10 {
					req.Header[fmt.Sprintf("X-Field-%d", i)] = append(make([]string, 0, 4), "one", "two")
				}
				req.Header["Date"] = nil // net/http omits a field with a nil value.
				before := snapshotOf(req)
				if _, err := trySend(rt, req); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal(err)
				}
				after := snapshotOf(req)
				for name := range before {
					if before[name] != after[name] {
						t.Errorf("%s was %s, is %s", name, before[name], after[name])
					}
				}
				if len(after) != len(before) {
					t.Errorf("there were %d fields, are %d", len(before), len(after))
				}
			})
		})
	}
}

func TestResponse_RequestHoldsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]func(*fakeIssuer, sentRequest) *http.Response{
			"answered": func(*fakeIssuer, sentRequest) *http.Response { return respond(http.StatusOK, "") },
			"refused":  func(*fakeIssuer, sentRequest) *http.Response { return respond(http.StatusUnauthorized, "") },
			"passed": func(*fakeIssuer, sentRequest) *http.Response {
				return respond(http.StatusUnauthorized, `{"code":"EUPI0120"}`)
			},
			"retried": func(*fakeIssuer, sentRequest) *http.Response { return respond(http.StatusServiceUnavailable, "") },
		} {
			m := &fakeIssuer{}
			w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
				resp := answer(m, s)
				resp.Request = &http.Request{Header: s.header} // As net/http sets it.
				return resp, nil
			}}
			req := newRequest(t, http.MethodGet, target, nil)
			resp, err := newTransport(t, m, w).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			same := *resp.Request.WithContext(req.Context())
			if resp.StatusCode != http.StatusUnauthorized && resp.Request != req || !reflect.DeepEqual(&same, req) {
				t.Errorf("%s: the response's Request is another than the caller's", name)
			}
			dump, err := httputil.DumpRequestOut(resp.Request, true)
			if err != nil || bytes.Contains(dump, []byte("Authorization")) {
				t.Errorf("%s: error %v, or the token shows:\n%s", name, err, dump)
			}
		}
	})
}

func TestRoundTrip_ReturnsBaseError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("error of the base")
		for _, method := range []string{http.MethodGet, http.MethodPost} { // A GET can be retried.
			w := &fakeBase{answer: func(sentRequest) (*http.Response, error) { return nil, failure }}
			_, err := newTransport(t, &fakeIssuer{}, w).RoundTrip(newRequest(t, method, target, nil))
			if err != failure {
				t.Errorf("%s: got error %#v, want the unchanged error of the base", method, err)
			}
		}
	})
}

func TestRoundTrip_SendsNothingWithoutToken(t *testing.T) {
	rejected := tokensource.NewError(tokensource.ErrCredentialsRejected, nil)
	m := &fakeIssuer{before: func(context.Context) error { return rejected }}
	w := &fakeBase{}
	body := &spy{Reader: strings.NewReader("payment")}
	_, err := newTransport(t, m, w).RoundTrip(newRequest(t, http.MethodPost, target, body))
	if e, ok := errors.AsType[*tokensource.Error](err); !ok || e != err || e.Kind != tokensource.ErrCredentialsRejected {
		t.Errorf("got error %#v, want the *tokensource.Error itself", err)
	}
	wantSent(t, w, 0)
	body.wantClosedOnce(t)
}

func TestCloseIdleConnections_ReachesBase(t *testing.T) {
	closed := 0
	client := &http.Client{Transport: newTransport(t, &fakeIssuer{}, closingBase{&fakeBase{}, &closed})}
	client.CloseIdleConnections()
	if closed != 1 {
		t.Errorf("the base was called %d times, want once", closed)
	}
	newTransport(t, &fakeIssuer{}, &fakeBase{}).CloseIdleConnections() // fakeBase has no such method.
}

type closingBase struct {
	*fakeBase
	closed *int
}

func (c closingBase) CloseIdleConnections() { *c.closed++ }

// Users' fakes often omit the Body. http.Client adds an empty body.
func TestBase_MayReturnNilBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusServiceUnavailable} {
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status}, nil
			})
			wantStatus(t, get(t, newTransport(t, &fakeIssuer{}, base), target), status)
		}
	})
}

func TestResponse_PassesUnchanged(t *testing.T) {
	m := &fakeIssuer{}
	for status := 200; status < 600; status++ {
		want := respond(status, "answer", "X-Answer", "1", "X-Answer", "2", "Retry-After", "11")
		if status == http.StatusUnauthorized {
			continue // 401 is tested elsewhere.
		}
		body := want.Body
		w := &fakeBase{answer: func(sentRequest) (*http.Response, error) { return want, nil }}
		resp, err := newTransport(t, m, w).RoundTrip(newRequest(t, http.MethodPost, target, nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp != want || resp.Body != body || !slices.Equal(resp.Header["X-Answer"], []string{"1", "2"}) {
			t.Errorf("%d: got %+v, want the base's response", status, resp)
		}
		if _, ok := transport.VerdictOf(resp); ok {
			t.Errorf("%d: the response has a verdict", status)
		}
		wantSent(t, w, 1)
	}
}
