// Package cli has what the examples share as commands: errors that say which
// flag to change.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
)

// Main parses the arguments of a program and runs it. It ends the program with
// the status 2 for arguments that are wrong, and 1 for any other error.
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

// Parse parses arguments, of which there are none but flags. Its errors have
// been printed.
func Parse(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return nil
	}
	err := fmt.Errorf("unexpected argument %q; there are only flags", flags.Arg(0))
	_, _ = fmt.Fprintln(flags.Output(), err)
	flags.Usage()
	return err
}

// Listening returns the error of listening on the address that the flag -addr
// has given, with what to do about it.
func Listening(addr string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("-addr %s: something listens there already; stop it, or choose another port with -addr (port 0 is a free one): %w", addr, err)
	default:
		return fmt.Errorf("-addr %s: %w", addr, err)
	}
}
