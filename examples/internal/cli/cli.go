// SPDX-License-Identifier: Apache-2.0

// Package cli parses the flags of the examples, and makes errors that name the
// flag to change.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
)

// Main parses the arguments of a program and calls run. It exits with status 2
// if an argument is wrong, and with status 1 after any other error.
func Main(flags *flag.FlagSet, run func() error) {
	if err := Parse(flags, os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return
	} else if err != nil {
		os.Exit(2)
	}
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Parse parses arguments, all of which must be flags. It prints the error that
// it returns.
func Parse(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return nil
	}
	err := fmt.Errorf("unexpected argument %q; use flags only", flags.Arg(0))
	_, _ = fmt.Fprintln(flags.Output(), err)
	flags.Usage()
	return err
}

// Listening returns an error for a failure to listen on the address of the flag
// -addr. The error says what to do.
func Listening(addr string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("-addr %s: another program listens there; stop it, or choose another port with -addr (port 0 selects a free port): %w", addr, err)
	default:
		return fmt.Errorf("-addr %s: %w", addr, err)
	}
}
