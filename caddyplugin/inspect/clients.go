// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// A client is the state of a client in the admin API of a running Caddy.
type client struct {
	Name             string
	Accounts, Tokens int
	Issuances        uint64
	Failures         map[string]uint64
	NextExpiry       time.Time `json:"next_expiry"`
	CoolingDown      int       `json:"cooling_down"`
	BreakerOpenUntil time.Time `json:"breaker_open_until"`
	BreakerCause     string    `json:"breaker_cause"`
	Store            *struct {
		Reachable                  bool
		LastError                  string    `json:"last_error"`
		OpenUntil                  time.Time `json:"open_until"`
		Adopted, Poisoned          uint64
		Succeeded, Failed, Skipped uint64
	}
}

// maxClients limits the answer of the admin API, in bytes.
const maxClients = 1 << 20

var errNotClients = errors.New("the admin API did not answer with a list of clients: is it a Caddy with this plugin?")

// writeClients writes the state of the clients of the Caddy whose admin API
// listens on an address. An empty address is the default.
func writeClients(out io.Writer, address string, asJSON bool) error {
	if address == "" {
		address = caddy.DefaultAdminListen
	}
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/pismo/clients", nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxClients))
	if err != nil {
		return err
	}
	var clients []client
	if json.Unmarshal(body, &clients) != nil {
		return errNotClients
	}
	if asJSON {
		_, err := out.Write(body)
		return err
	}
	if len(clients) == 0 {
		_, err := fmt.Fprintln(out, "no clients")
		return err
	}
	for _, c := range clients {
		if err := c.write(out); err != nil {
			return err
		}
	}
	return nil
}

// write writes the state for people.
func (c *client) write(out io.Writer) error {
	lines := []string{
		"client " + printable(c.Name),
		fmt.Sprintf("tokens     %d, for %d accounts%s", c.Tokens, c.Accounts, at("; the first expires at", c.NextExpiry)),
		fmt.Sprintf("issuances  %d%s", c.Issuances, c.failures()),
		fmt.Sprintf("cooldown   %d accounts%s", c.CoolingDown, at("; every account until", c.BreakerOpenUntil)),
	}
	if c.BreakerCause != "" {
		lines[3] += " (" + printable(c.BreakerCause) + ")"
	}
	if s := c.Store; s != nil {
		state := "not used yet"
		switch {
		case s.Reachable:
			state = "reachable"
		case s.LastError != "":
			state = "away" + at("; tried again at", s.OpenUntil) + ": " + printable(s.LastError)
		}
		lines = append(lines, "store      "+state,
			fmt.Sprintf("           %d tokens adopted, %d values not used", s.Adopted, s.Poisoned),
			fmt.Sprintf("           %d operations succeeded, %d failed, %d skipped", s.Succeeded, s.Failed, s.Skipped))
	}
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n  "))
	return err
}

// failures returns the number of failures by kind.
func (c *client) failures() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(c.Failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.Failures[kind], printable(kind)))
	}
	if len(parts) == 0 {
		return ", none failed"
	}
	return ", failed: " + strings.Join(parts, ", ")
}

// at returns an instant after words, or "" if it is zero.
func at(words string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return words + " " + t.UTC().Format(time.RFC3339)
}
