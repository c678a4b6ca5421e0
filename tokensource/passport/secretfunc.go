// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A SecretFunc returns the key or the secret of [Credentials]. It is called for
// each token request. A [tokensource.Source] also calls it to find out whether
// the credentials have changed: before each issuance, and at most once a second
// while issuances fail. Several goroutines may call it at once. It should
// return when ctx is done.
//
// A SecretFunc of your own can fetch the value from a vault. If that is slow,
// the function should cache the value for a short time. Its error becomes
// ErrMisconfigured, with three exceptions: a [*tokensource.Error] is passed on
// unchanged, a passed deadline becomes ErrTimeout, and a canceled ctx becomes
// ErrCanceled. The error must not hold the value. The text of the error is
// printed only if [tokensource.SafeError] made the error, since any other text
// might hold a secret.
type SecretFunc func(ctx context.Context) (tokensource.Secret, error)

// Literal returns a SecretFunc that always returns value. An empty value gives
// nil, which S2S.Validate reports as a credential that is not set. Prefer to
// keep secrets out of programs and their arguments; see [File].
func Literal(value string) SecretFunc {
	if value == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		return checkSecret("the literal", value)
	}
}

// Env returns a SecretFunc that reads an environment variable. An empty name
// gives nil, which S2S.Validate reports as a credential that is not set. Quote
// the value where you set the variable: Pismo's secrets are full of punctuation
// with a meaning in shells and .env files.
func Env(name string) SecretFunc {
	if name == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		value, ok := os.LookupEnv(name)
		if !ok {
			return tokensource.Secret{}, &secretError{reason: fmt.Sprintf("environment variable %q is not set", name)}
		}
		return checkSecret("environment variable "+strconv.Quote(name), value)
	}
}

// maxSecretFile is the size in bytes of the largest file that File reads.
const maxSecretFile = 4 << 10

var errLargeSecretFile = errors.New("it is larger than 4 KiB")

// File returns a SecretFunc that reads a file. It reads the file in each call,
// so that a running program picks up a new secret. An empty path gives nil,
// which S2S.Validate reports as a credential that is not set.
//
// The file holds the value in UTF-8, without quotes and without a byte order
// mark, in at most 4 KiB. A line break at the end of the file (LF or CRLF) is
// not part of the value. All other characters are, including spaces. To replace
// the file, rename a new file over it: otherwise it could be read half-written.
func File(path string) SecretFunc {
	if path == "" {
		return nil
	}
	file := newFileReader(path, maxSecretFile, errLargeSecretFile)
	return func(ctx context.Context) (tokensource.Secret, error) {
		content, err := file.read(ctx)
		if err != nil {
			return tokensource.Secret{}, unreadableFileError(file, err)
		}
		text := string(content)
		if line, ok := strings.CutSuffix(text, "\n"); ok {
			text = strings.TrimSuffix(line, "\r")
		}
		return checkSecret(file.name, text)
	}
}

// unreadableFileError returns the error of a file that could not be read.
func unreadableFileError(file *fileReader, err error) error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return e // The read did not end.
	}
	reason, cause := file.reason(err)
	return &secretError{reason: file.name + " " + reason, cause: cause}
}

// A secretError says why a value cannot be read or used. Its reason is safe to
// print: it names the place of the value, and does not hold the value.
type secretError struct {
	reason string
	cause  error // may be nil
}

func (e *secretError) Error() string { return e.reason }
func (e *secretError) Unwrap() error { return e.cause }

// checkSecret returns value as a Secret. It returns an error, with the name of
// the value's origin, if value cannot be a credential: the encoding as JSON
// would change it, or an editor has added a character.
func checkSecret(origin, value string) (tokensource.Secret, error) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case value == "":
		return tokensource.Secret{}, &secretError{reason: origin + " is empty"}
	case !utf8.ValidString(value):
		return tokensource.Secret{}, &secretError{reason: origin + " is not in UTF-8"}
	case strings.ContainsFunc(value, unprintable):
		return tokensource.Secret{}, &secretError{
			reason: origin + " holds an unprintable character, such as a line break or a byte order mark",
		}
	}
	return tokensource.NewSecret(value), nil
}

func (f SecretFunc) read(ctx context.Context) (tokensource.Secret, error) {
	if f == nil {
		return tokensource.Secret{}, errNotSet
	}
	value, err := f(ctx)
	if err != nil {
		return tokensource.Secret{}, err
	}
	return checkSecret("it", value.Reveal())
}

var errNotSet = &secretError{reason: "it is not set; use StaticCredentials, EnvCredentials or FileCredentials"}
