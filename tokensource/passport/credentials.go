package passport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A Value is one half of the [Credentials]. It is called each time a token is
// issued, and when a [tokensource.Source] wants to know whether the credentials
// have changed: before each issuance, and at most once a second while they
// fail. Several goroutines may call it at once. It should return when ctx is
// done.
//
// A function of your own may fetch the value from a vault; if that is slow,
// it should remember what it got for a moment. Its error is ErrMisconfigured,
// unless it is a [*tokensource.Error], which is passed on as it is, or a
// deadline that has passed, which is ErrTimeout. It must not hold the value.
type Value func(ctx context.Context) (tokensource.Secret, error)

// Literal returns a Value that is always the same. It is nil if value is empty,
// and so counts as not set. Secrets are better kept out of programs and of
// their arguments; see [File].
func Literal(value string) Value {
	if value == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		return usable("the literal", value)
	}
}

// Env returns a Value that is read from an environment variable. It is nil if
// name is empty, and so counts as not set. Whoever sets the variable has to
// quote it well: Pismo's secrets are full of punctuation that shells and .env
// files take for their own.
func Env(name string) Value {
	if name == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		value, ok := os.LookupEnv(name)
		if !ok {
			return tokensource.Secret{}, fmt.Errorf("environment variable %q is not set", name)
		}
		return usable("environment variable "+strconv.Quote(name), value)
	}
}

// maxValueFile is the size in bytes of the largest file that File reads.
const maxValueFile = 4 << 10

// File returns a Value that is read from a file: each time anew, so that a
// running program picks up a new secret. It is nil if path is empty, and so
// counts as not set.
//
// The file holds the value in UTF-8, as it is, without quotes and without a
// byte order mark, in at most 4 KiB. One line break at its end (LF or CRLF) is
// not part of the value; everything else is, spaces included. The file should
// be replaced by renaming another over it, lest it is read when half-written.
func File(path string) Value {
	if path == "" {
		return nil
	}
	return func(context.Context) (tokensource.Secret, error) {
		content, err := readFile(path)
		if err != nil {
			return tokensource.Secret{}, err
		}
		if line, ok := strings.CutSuffix(content, "\n"); ok {
			content = strings.TrimSuffix(line, "\r")
		}
		return usable("file "+strconv.Quote(path), content)
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
		return "", fmt.Errorf("file %q is larger than 4 KiB", path)
	}
	return string(content), nil
}

// usable returns value as a Secret, or says by the name of its origin why it
// cannot be a credential: JSON would change it, or somebody's editor has.
func usable(origin, value string) (tokensource.Secret, error) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case value == "":
		return tokensource.Secret{}, errors.New(origin + " is empty")
	case !utf8.ValidString(value):
		return tokensource.Secret{}, errors.New(origin + " is not in UTF-8")
	case strings.ContainsFunc(value, unprintable):
		return tokensource.Secret{}, errors.New(origin + " holds a character that does not print, such as a line break or a byte order mark")
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
	Key, Secret Value
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

var errNotSet = errors.New("it is not set")

// read reads both values, and checks them: they may come from anywhere.
func (c Credentials) read(ctx context.Context) (key, secret tokensource.Secret, err error) {
	if key, err = c.Key.read(ctx); err != nil {
		return key, secret, unread("S2S.Credentials.Key", err)
	}
	if secret, err = c.Secret.read(ctx); err != nil {
		return key, secret, unread("S2S.Credentials.Secret", err)
	}
	return key, secret, nil
}

func (v Value) read(ctx context.Context) (tokensource.Secret, error) {
	if v == nil {
		return tokensource.Secret{}, errNotSet
	}
	value, err := v(ctx)
	if err != nil {
		return tokensource.Secret{}, err
	}
	return usable("it", value.Reveal())
}

// unread returns the error of a field whose value could not be read.
func unread(field string, err error) *tokensource.Error {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return e
	}
	err = fmt.Errorf("%s: %w", field, err)
	if errors.Is(err, context.DeadlineExceeded) {
		return tokensource.NewError(tokensource.ErrTimeout, err)
	}
	return misconfigured(err)
}

const redacted = "[redacted]"

// Format implements [fmt.Formatter]: it prints nothing of the credentials.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON implements [json.Marshaler].
func (c Credentials) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// LogValue implements [slog.LogValuer].
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// Check reads both values once, and returns what is wrong with them.
func (c Credentials) Check(ctx context.Context) error {
	if _, err := c.Key.read(ctx); err != nil {
		return fmt.Errorf("S2S.Credentials.Key: %w", err)
	}
	if _, err := c.Secret.read(ctx); err != nil {
		return fmt.Errorf("S2S.Credentials.Secret: %w", err)
	}
	return nil
}
