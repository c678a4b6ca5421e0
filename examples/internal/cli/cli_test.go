// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"errors"
	"flag"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/pismoauth/pismoauth/examples/internal/cli"
)

func TestParse_RefusesStrayArguments(t *testing.T) {
	for arguments, want := range map[string]string{
		"":                    "",
		"-addr 127.0.0.1:1":   "",
		"demo":                `unexpected argument "demo"`,
		"-addr 127.0.0.1:1 x": `unexpected argument "x"`,
		"-- -addr":            `unexpected argument "-addr"`,
		"-adr 127.0.0.1:1":    "-adr",
		"-addr":               "-addr",
	} {
		flags := flag.NewFlagSet("example", flag.ContinueOnError)
		var printed strings.Builder
		flags.SetOutput(&printed)
		flags.String("addr", "", "the address")
		err := cli.Parse(flags, strings.Fields(arguments))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", arguments, err, want)
		}
		if n := strings.Count(printed.String(), want); want != "" && n == 0 {
			t.Errorf("%q: %q was not printed", arguments, want)
		}
	}
}

func TestListening_NamesTheFlag(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	_, inUse := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	err = cli.Listening(addr, inUse)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "-addr "+addr) || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("an address in use: got error %v, want the flag, its address and what to do", err)
	}
	if err := cli.Listening("x", errors.New("other")); !strings.Contains(err.Error(), "-addr x: other") {
		t.Errorf("another error: got %v, want the flag and its address", err)
	}
	if err := cli.Listening(addr, nil); err != nil {
		t.Errorf("no error: got %v, want nil", err)
	}
}
