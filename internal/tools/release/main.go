// SPDX-License-Identifier: Apache-2.0

// Release checks, tags and rehearses a release of the modules of this
// repository. RELEASE.md says when to use each command. From the root:
//
//	go run -C internal/tools ./release check v0.1.0     # is everything ready?
//	go run -C internal/tools ./release tag v0.1.0       # check, then tag
//	go run -C internal/tools ./release next v0.2.0      # require the next version
//	go run -C internal/tools ./release notes v0.1.0     # print the changelog's section
//	go run -C internal/tools ./release rehearse [v0.1.0] # use the modules as if published
//
// It pushes nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// exitOffline is the exit status of a rehearsal that cannot reach a module
// proxy.
const exitOffline = 3

const usage = "usage: release check|tag|next|notes VERSION, or release rehearse [VERSION]"

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, flag.Args(), os.Stdout)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "release:", err)
	if errors.Is(err, errOffline) {
		os.Exit(exitOffline)
	}
	os.Exit(1)
}

// run executes one command in the repository of the working directory.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || len(args) > 2 || len(args) == 1 && args[0] != "rehearse" {
		return errors.New(usage)
	}
	r, err := openRepository(ctx, ".")
	if err != nil {
		return err
	}
	version := ""
	if len(args) == 2 {
		version = args[1]
	}
	switch args[0] {
	case "check":
		return r.check(ctx, version)
	case "tag":
		return r.tag(ctx, version, out)
	case "next":
		return r.next(version)
	case "notes":
		notes, err := r.notes(version)
		fmt.Fprint(out, notes)
		return err
	case "rehearse":
		return r.rehearse(ctx, version, out)
	}
	return errors.New(usage)
}
