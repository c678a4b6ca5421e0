// SPDX-License-Identifier: Apache-2.0

// Package inspect adds the command "caddy pismo inspect", which prints the
// header, the claims and the times of a token, the fingerprint of a key, or the
// state of a running Caddy. Importing the package registers the command.
package inspect

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "pismo",
		Short: "Commands for the authentication to Pismo",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Use = "pismo"
			cmd.AddCommand(inspectCommand())
		},
	})
}

// inspectCommand returns the command "inspect". Its errors do not contain the
// arguments: an argument may be a token.
func inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Prints what a token says of itself",
		Long: `
Reads an access token from standard input and prints its claims, when it was
issued, when it expires and how long that is from now by this machine's clock.
The token may have "Bearer" or the whole of "Authorization: Bearer" before it.

It works offline, and prints neither the token nor its signature. So a token of
production need not be shown to a web page to be read. The signature is not
verified: only Pismo has the key to do that.

With --key, it reads no token. It prints the SHA-256 fingerprint of the public key
that belongs to the private key in a PEM file, as errors of OpenID show it. It
prints nothing of the private key.

With --clients, it reads no token. It prints the state of the clients of a running
Caddy, from its admin API: tokens, failures, cooldowns, and the state of the store
that several Caddys share. It prints no account and no token.

A token is not taken from an argument, since arguments are seen by every user of
the machine and kept in the shell's history. On a terminal, what is pasted is
not shown.`,
		Example: "  $ caddy pismo inspect < token.txt\n  $ pbpaste | caddy pismo inspect --json\n  $ caddy pismo inspect --clients",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errArgument
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(*cobra.Command, error) error { return errFlag })
	asJSON := cmd.Flags().Bool("json", false, "Print JSON, for other programs")
	keyFile := cmd.Flags().String("key", "", "Print the fingerprint of the public key of this `file`, and read no token")
	clients := cmd.Flags().Bool("clients", false, "Print the state of the clients of a running Caddy, and read no token")
	address := cmd.Flags().String("address", "", "The `address` of the admin API, for --clients; "+caddy.DefaultAdminListen+" by default")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *keyFile != "" {
			return writeFingerprint(cmd.Context(), cmd.OutOrStdout(), *keyFile, *asJSON)
		}
		if *clients {
			return writeClients(cmd.OutOrStdout(), *address, *asJSON)
		}
		text, err := readToken(cmd.InOrStdin(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		said, err := parseToken(text)
		if err != nil {
			return err
		}
		if *asJSON {
			return said.writeJSON(cmd.OutOrStdout(), time.Now())
		}
		return said.write(cmd.OutOrStdout(), time.Now())
	}
	return cmd
}

// The errors of the command. They contain nothing of the input.
var (
	errArgument  = errors.New("unexpected argument: give the token on standard input, and delete the argument from the shell's history if it was a token")
	errFlag      = errors.New("unknown flag: the only flags are --json, --key, --clients and --address, and the token is read from standard input")
	errNothing   = errors.New("standard input is empty; try: caddy pismo inspect < token.txt")
	errTooLong   = errors.New("standard input has more than 64 KiB, which is too long for a token")
	errNotToken  = errors.New("standard input is not a token: it contains spaces or characters that a token cannot have")
	errOpaque    = errors.New("the token is opaque: it is not a JWT, which has three parts with dots between them, so it has no readable claims")
	errMalformed = errors.New("the token looks like a JWT but cannot be decoded: check that it is complete")
	errTimes     = errors.New("the token is a JWT, but its claims iat and exp are not times")
)

// maxInput limits the input, in bytes.
const maxInput = 64 << 10

// readToken reads a token. On a terminal it asks for the token and reads one
// line.
func readToken(in io.Reader, prompt io.Writer) (string, error) {
	var text []byte
	var err error
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		_, _ = fmt.Fprint(prompt, "Paste the token, which is not shown, and press Enter: ")
		text, err = term.ReadPassword(int(file.Fd()))
		_, _ = fmt.Fprintln(prompt)
	} else {
		text, err = io.ReadAll(io.LimitReader(bufio.NewReader(in), maxInput+1))
	}
	if err != nil {
		return "", fmt.Errorf("standard input cannot be read: %w", err)
	}
	if len(text) > maxInput {
		return "", errTooLong
	}
	fields := strings.Fields(string(text))
	for _, before := range []string{"authorization:", "bearer"} {
		if len(fields) > 0 && strings.EqualFold(fields[0], before) {
			fields = fields[1:]
		}
	}
	switch {
	case len(fields) == 0:
		return "", errNothing
	case len(fields) > 1 || !b64token.MatchString(fields[0]):
		return "", errNotToken
	}
	return fields[0], nil
}

// b64token matches the syntax of a token (RFC 6750, section 2.1).
var b64token = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// A tokenInfo holds the data in a token.
type tokenInfo struct {
	header          map[string]any
	claims          jwt.MapClaims
	issued, expires time.Time // zero if the claim is missing
}

func parseToken(text string) (*tokenInfo, error) {
	if strings.Count(text, ".") != 2 {
		return nil, errOpaque
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithJSONNumber())
	token, parts, err := parser.ParseUnverified(text, claims)
	// Show the claims even if the library does not know the algorithm.
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) {
		return nil, errMalformed
	}
	if _, err := parser.DecodeSegment(parts[2]); err != nil {
		return nil, errMalformed
	}
	said := &tokenInfo{header: token.Header, claims: claims}
	issued, errIssued := claims.GetIssuedAt()
	expires, errExpires := claims.GetExpirationTime()
	if errIssued != nil || errExpires != nil {
		return nil, errTimes
	}
	if issued != nil {
		said.issued = issued.UTC()
	}
	if expires != nil {
		said.expires = expires.UTC()
	}
	const last = 9999 // as time.Time can be marshalled
	if said.issued.Year() > last || said.expires.Year() > last {
		return nil, errTimes
	}
	return said, nil
}

// account returns the account that the token names, or "".
func (s *tokenInfo) account() string {
	for _, name := range []string{"account-id", "account_id"} {
		switch id := s.claims[name].(type) {
		case string:
			return id
		case json.Number:
			return id.String()
		}
	}
	return ""
}

// write writes the data as text for people. The values of the token are in
// JSON.
func (s *tokenInfo) write(out io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "account\t%s\n", s.accountText())
	_, _ = fmt.Fprintf(table, "issued\t%s\n", timeText(s.issued))
	_, _ = fmt.Fprintf(table, "expires\t%s\n", timeText(s.expires))
	_, _ = fmt.Fprintf(table, "remaining\t%s\n", s.remainingText(now))
	_, _ = fmt.Fprint(table, "\nThe signature is not verified: only Pismo can.\n")
	for _, section := range []struct {
		name   string
		fields map[string]any
	}{{"header", s.header}, {"claims", s.claims}} {
		_, _ = fmt.Fprintf(table, "\n%s\n", section.name)
		for _, name := range slices.Sorted(maps.Keys(section.fields)) {
			value, err := json.Marshal(section.fields[name])
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(table, "  %s\t%s\n", printable(name), printable(string(value)))
		}
	}
	return table.Flush()
}

func (s *tokenInfo) accountText() string {
	if account := s.account(); account != "" {
		return printable(account)
	}
	return "none named: it may be the organization's, or of the older kind that names none"
}

func (s *tokenInfo) remainingText(now time.Time) string {
	if s.expires.IsZero() {
		return "not said"
	}
	remaining := s.expires.Sub(now).Round(time.Second)
	text := remaining.String()
	if remaining <= 0 {
		text = fmt.Sprintf("none, expired %v ago", -remaining)
	}
	if !s.issued.IsZero() {
		text += fmt.Sprintf(" (of %v)", s.expires.Sub(s.issued))
	}
	if s.issued.After(now.Add(time.Second)) {
		text += "; issued in the future by this machine's clock, which may be slow"
	}
	return text
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "not said"
	}
	return t.Format(time.RFC3339)
}

// printable returns text without control characters for a terminal.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			_, _ = fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// writeJSON writes the data as JSON, for programs.
func (s *tokenInfo) writeJSON(out io.Writer, now time.Time) error {
	type times struct {
		Issued    *time.Time `json:"issued,omitempty"`
		Expires   *time.Time `json:"expires,omitempty"`
		Remaining *int64     `json:"remaining_seconds,omitempty"` // negative: expired
	}
	var t times
	if !s.issued.IsZero() {
		t.Issued = &s.issued
	}
	if !s.expires.IsZero() {
		seconds := int64(s.expires.Sub(now) / time.Second)
		t.Expires, t.Remaining = &s.expires, &seconds
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Account string `json:"account,omitempty"`
		times
		Header map[string]any `json:"header"`
		Claims map[string]any `json:"claims"`
	}{s.account(), t, s.header, s.claims})
}
