package passport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A SecretFunc is one half of the [Credentials]. It is called each time a token is
// issued, and when a [tokensource.Source] wants to know whether the credentials
// have changed: before each issuance, and at most once a second while they
// fail. Several goroutines may call it at once. It should return when ctx is
// done.
//
// A function of your own may fetch the value from a vault; if that is slow,
// it should remember what it got for a moment. Its error is ErrMisconfigured,
// unless it is a [*tokensource.Error], which is passed on as it is, or a
// deadline that has passed, which is ErrTimeout. It must not hold the value. Its
// text is printed only if [tokensource.Explain] made it: of any other, nobody
// knows what is in it.
type SecretFunc func(ctx context.Context) (tokensource.Secret, error)

// Literal returns a SecretFunc that is always the same. It is nil if value is empty,
// and so counts as not set. Secrets are better kept out of programs and of
// their arguments; see [File].
func Literal(value string) SecretFunc {
	if value == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		return checkSecret("the literal", value)
	}
}

// Env returns a SecretFunc that is read from an environment variable. It is nil if
// name is empty, and so counts as not set. Whoever sets the variable has to
// quote it well: Pismo's secrets are full of punctuation that shells and .env
// files take for their own.
func Env(name string) SecretFunc {
	if name == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		value, ok := os.LookupEnv(name)
		if !ok {
			return tokensource.Secret{}, &valueError{reason: fmt.Sprintf("environment variable %q is not set", name)}
		}
		return checkSecret("environment variable "+strconv.Quote(name), value)
	}
}

// maxValueFile is the size in bytes of the largest file that File reads.
const maxValueFile = 4 << 10

// File returns a SecretFunc that is read from a file: each time anew, so that a
// running program picks up a new secret. It is nil if path is empty, and so
// counts as not set.
//
// The file holds the value in UTF-8, as it is, without quotes and without a
// byte order mark, in at most 4 KiB. One line break at its end (LF or CRLF) is
// not part of the value; everything else is, spaces included. The file should
// be replaced by renaming another over it, lest it is read when half-written.
func File(path string) SecretFunc {
	if path == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		content, err := readFile(path)
		if err != nil {
			return tokensource.Secret{}, unreadableFileError(path, err)
		}
		if line, ok := strings.CutSuffix(content, "\n"); ok {
			content = strings.TrimSuffix(line, "\r")
		}
		return checkSecret("file "+strconv.Quote(path), content)
	}
}

func readFile(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // G304: which file it is, is the caller's to say.
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxValueFile+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxValueFile {
		return "", errLargeFile
	}
	return string(content), nil
}

var errLargeFile = errors.New("it is larger than 4 KiB")

// unreadableFileError returns the error of a file that could not be read.
func unreadableFileError(path string, err error) *valueError {
	reason := fmt.Sprintf("file %q cannot be read", path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason += ": " + e.Err.Error() // Which the system says, such as "permission denied".
	} else if errors.Is(err, errLargeFile) {
		reason += ": " + err.Error()
	}
	return &valueError{reason: reason, cause: err}
}

// A valueError says why a value cannot be had. Its reason is safe to print: it
// names where the value should be, and does not hold it.
type valueError struct {
	reason string
	cause  error // may be nil
}

func (e *valueError) Error() string { return e.reason }
func (e *valueError) Unwrap() error { return e.cause }

// checkSecret returns value as a Secret, or says by the name of its origin why it
// cannot be a credential: JSON would change it, or somebody's editor has.
func checkSecret(origin, value string) (tokensource.Secret, error) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case value == "":
		return tokensource.Secret{}, &valueError{reason: origin + " is empty"}
	case !utf8.ValidString(value):
		return tokensource.Secret{}, &valueError{reason: origin + " is not in UTF-8"}
	case strings.ContainsFunc(value, unprintable):
		return tokensource.Secret{}, &valueError{reason: origin + " holds a character that does not print, such as a line break or a byte order mark"}
	}
	return tokensource.NewSecret(value), nil
}

// Credentials are the key and the secret of a server, which Pismo's Control
// Center shows once, when they are made. Both are required. Several keys may be
// active at once: to rotate them, make a new key, put it where the Values find
// the old one, and revoke that when the last token issued with it has expired.
//
// Printed, logged or marshalled, Credentials show nothing.
type Credentials struct {
	// Key is sent as server_key, Secret as S2S.SecretField says.
	Key, Secret SecretFunc
}

// StaticCredentials returns Credentials that never change.
func StaticCredentials(key, secret string) Credentials {
	return Credentials{Key: Literal(key), Secret: Literal(secret)}
}

// EnvCredentials returns Credentials that are read from two environment
// variables; see [Env].
func EnvCredentials(keyVar, secretVar string) Credentials {
	return Credentials{Key: Env(keyVar), Secret: Env(secretVar)}
}

// FileCredentials returns Credentials that are read from two files; see
// [File]. Between the replacing of one file and of the other they do not match,
// and Passport rejects them; a [tokensource.Source] sees them change again, and
// makes up for it.
func FileCredentials(keyFile, secretFile string) Credentials {
	return Credentials{Key: File(keyFile), Secret: File(secretFile)}
}

var errNotSet = &valueError{reason: "it is not set; use StaticCredentials, EnvCredentials or FileCredentials"}

// Check reads both values once. It returns nil, or every fault, joined by
// errors.Join: each is the [*tokensource.Error] that a token request would fail
// with, and names the environment variable or the file. Call it when a program
// starts, to find then what the first request would find: [tokensource.New]
// reads nothing, as what is missing may come to be later.
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

// read reads both values, and checks them: they may come from anywhere.
func (c Credentials) read(ctx context.Context) (key, secret tokensource.Secret, err error) {
	if key, err = c.Key.read(ctx); err != nil {
		return key, secret, unreadableFieldError(ctx, fieldOfKey, err)
	}
	if secret, err = c.Secret.read(ctx); err != nil {
		return key, secret, unreadableFieldError(ctx, fieldOfSecret, err)
	}
	return key, secret, nil
}

func (v SecretFunc) read(ctx context.Context) (tokensource.Secret, error) {
	if v == nil {
		return tokensource.Secret{}, errNotSet
	}
	value, err := v(ctx)
	if err != nil {
		return tokensource.Secret{}, err
	}
	return checkSecret("it", value.Reveal())
}

// unreadableFieldError returns the error of a field whose value could not be read.
func unreadableFieldError(ctx context.Context, field string, err error) *tokensource.Error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) && !errors.Is(ctx.Err(), context.Canceled) {
		err = notCanceled(err)
	}
	if e, ok := errors.AsType[*valueError](err); ok {
		err = tokensource.Explain(field+": "+e.reason, err)
	} else { // Which may explain itself.
		err = errors.Join(tokensource.Explain(field+": the function that reads it failed", nil), err)
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
