// SPDX-License-Identifier: Apache-2.0

// Fleet shows what a store saves a fleet of replicas. Each replica is a process
// of its own. It sends each request twice: to a fake of Pismo whose tokens the
// replicas share through a store, and to another fake without a store.
//
//	go run -C examples/fleet .                         prints figures until Ctrl-C,
//	                                                   while replicas and the store fail
//	go run -C examples/fleet . -demo                   takes each step once, and checks
//	                                                   its figures
//	go run -C examples/fleet . -redis 127.0.0.1:6379   uses your Redis as the store
//
// Without -redis, the store is in the memory of this process, behind a socket.
// With -redis, the replicas reach Redis through a forwarder of this process, so
// that the store can be stopped without stopping Redis. Every key in Redis
// expires by itself.
//
// Read replica.go first: it is the part that a real program has.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/cli"
)

// options are the arguments of the program.
type options struct {
	replicas, accounts int
	redis              string        // the address of a Redis, or "" for a store in memory
	revokeOld          bool          // a new token ends the older ones
	lifetime           time.Duration // of the tokens; 0 means 10 minutes
}

func main() {
	if isReplica() {
		os.Exit(replicaMain())
	}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	o := options{}
	flags.IntVar(&o.replicas, "replicas", 3, "the `number` of replicas, each a process")
	flags.IntVar(&o.accounts, "accounts", 10, "the `number` of accounts that each replica uses")
	flags.StringVar(&o.redis, "redis", "", "the `address` of a Redis without TLS and password, such as 127.0.0.1:6379")
	flags.BoolVar(&o.revokeOld, "revoke-old", false, "a new token ends the older ones of its account; -demo shows both")
	isDemo := flags.Bool("demo", false, "take each step once, check its figures, and exit")
	cli.Main(flags, func() error {
		if err := o.validate(); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if *isDemo {
			return demo(ctx, o, os.Stdout)
		}
		return live(ctx, o, os.Stdout)
	})
}

// The largest fleet that the program starts.
const (
	maxReplicas = 20
	maxAccounts = 200
)

// validate returns an error that names the flag.
func (o options) validate() error {
	if o.replicas < 2 || o.replicas > maxReplicas {
		return fmt.Errorf("-replicas %d: use 2 to %d", o.replicas, maxReplicas)
	}
	if o.accounts < 1 || o.accounts > maxAccounts {
		return fmt.Errorf("-accounts %d: use 1 to %d", o.accounts, maxAccounts)
	}
	return nil
}
