// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// issueWithAnyKey tries one key after the other until one works.
func (o *OpenID) issueWithAnyKey(ctx context.Context, claims map[string]any, account tokensource.Account) (tokensource.Grant, error) {
	var first error // of the keys that did not work
	sources := o.Key.keys.inOrder()
	tried := make([]*signingKey, 0, len(sources))
	for i, source := range sources {
		key, assertion, err := o.assertionFrom(ctx, source, claims, len(sources)-i)
		if key != nil && slices.ContainsFunc(tried, key.equal) {
			continue // Two sources have the same key.
		}
		var grant tokensource.Grant
		if err == nil {
			tried = append(tried, key)
			grant, err = o.issueWith(ctx, key, assertion, account)
		}
		switch {
		case err == nil:
			o.Key.keys.prefer(source)
			return grant, nil
		case key != nil && !isRefusal(err), ctx.Err() != nil:
			return tokensource.Grant{}, err // It says nothing about the key.
		case first == nil || isRefusal(err) && !isRefusal(first):
			first = err
		}
	}
	return tokensource.Grant{}, first
}

// isRefusal reports whether the token endpoint answered 401.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*tokensource.Error](err)
	return ok && e.StatusCode == http.StatusUnauthorized
}

// assertionFrom returns an assertion that the key of a source has signed, and
// that key. The key is nil if there is no assertion. While there are further
// sources, this one gets a part of the remaining time only: a signer that hangs
// must not keep the next key from being tried. If the key was replaced between
// the reading of its public key and the signature, it is read once more.
func (o *OpenID) assertionFrom(ctx context.Context, source keySource, claims map[string]any, sources int) (*signingKey, tokensource.Secret, error) {
	if deadline, ok := ctx.Deadline(); ok && sources > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(sources))
		defer cancel()
	}
	key, err := source.read(ctx)
	if err != nil {
		return nil, tokensource.Secret{}, err
	}
	assertion, err := o.assertion(ctx, key, claims)
	if errors.Is(err, errOtherKey) {
		replaced, readErr := source.read(ctx)
		if readErr == nil && !replaced.equal(key) {
			key = replaced
			assertion, err = o.assertion(ctx, key, claims)
		}
	}
	if err != nil {
		return nil, tokensource.Secret{}, err
	}
	return key, assertion, nil
}
