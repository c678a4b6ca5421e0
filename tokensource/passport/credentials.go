// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/pismoauth/pismoauth/tokensource"
)

// Credentials are the key and the secret of a server. Pismo's Control Center
// shows them once, when they are made. Both are required. Several keys can be
// active at once. To rotate credentials, make a new key, and replace the old
// key in the variables or files. Revoke the old key when the last token that
// was issued with it has expired.
//
// Printed, logged or marshalled, Credentials show "[redacted]".
type Credentials struct {
	// Key is sent in the field server_key, Secret in the field that
	// S2S.SecretField names.
	Key, Secret SecretFunc
}

// StaticCredentials returns Credentials that never change.
func StaticCredentials(key, secret string) Credentials {
	return Credentials{Key: Literal(key), Secret: Literal(secret)}
}

// EnvCredentials returns Credentials that read two environment variables; see
// [Env].
func EnvCredentials(keyVar, secretVar string) Credentials {
	return Credentials{Key: Env(keyVar), Secret: Env(secretVar)}
}

// FileCredentials returns Credentials that read two files; see [File]. While
// only one of the files has been replaced, key and secret do not match, and
// Passport rejects them. A [tokensource.Source] sees the second change, and
// tries again at once.
func FileCredentials(keyFile, secretFile string) Credentials {
	return Credentials{Key: File(keyFile), Secret: File(secretFile)}
}

// Check reads both values once. It returns nil, or every fault, joined by
// errors.Join. Each fault is the [*tokensource.Error] that a token request
// would return, and names the environment variable or the file that [Env] or
// [File] reads. Call it at the start of a program, to find then the faults that
// the first request would find. [tokensource.New] reads no credentials, since a
// file may appear later.
func (c Credentials) Check(ctx context.Context) error {
	_, keyErr := c.Key.read(ctx)
	_, secretErr := c.Secret.read(ctx)
	var faults []error
	if keyErr != nil {
		faults = append(faults, unreadableFieldError(ctx, fieldOfKey, keyErr))
	}
	if secretErr != nil {
		faults = append(faults, unreadableFieldError(ctx, fieldOfSecret, secretErr))
	}
	return errors.Join(faults...)
}

// The names of the fields, for errors.
const (
	fieldOfKey    = "S2S.Credentials.Key"
	fieldOfSecret = "S2S.Credentials.Secret"
)

// read reads and checks both values.
func (c Credentials) read(ctx context.Context) (key, secret tokensource.Secret, err error) {
	if key, err = c.Key.read(ctx); err != nil {
		return key, secret, unreadableFieldError(ctx, fieldOfKey, err)
	}
	if secret, err = c.Secret.read(ctx); err != nil {
		return key, secret, unreadableFieldError(ctx, fieldOfSecret, err)
	}
	return key, secret, nil
}

// unreadableFieldError returns the error of a field whose value could not be
// read.
func unreadableFieldError(ctx context.Context, field string, err error) *tokensource.Error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) && !errors.Is(ctx.Err(), context.Canceled) {
		err = notCanceled(err)
	}
	if e, ok := errors.AsType[*secretError](err); ok {
		err = tokensource.SafeError(field+": "+e.reason, err)
	} else { // tokensource.SafeError may have made err.
		err = errors.Join(tokensource.SafeError(field+": the function that reads it failed", nil), err)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return tokensource.NewError(tokensource.ErrTimeout, err)
	case errors.Is(err, context.Canceled):
		return tokensource.NewError(tokensource.ErrCanceled, err)
	default:
		return tokensource.NewError(tokensource.ErrMisconfigured, err)
	}
}

const redacted = "[redacted]"

// Format implements [fmt.Formatter]: it prints nothing of the credentials.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON implements [json.Marshaler].
func (c Credentials) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// LogValue implements [slog.LogValuer].
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }
