// SPDX-License-Identifier: Apache-2.0

// Fakeserver runs the fake of Pismo: the token endpoint and a small resource
// API, on a fixed loopback port. It is for curl and for programs in any
// language.
//
//	go run ./examples/fakeserver
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
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The credentials are invented. They are constant, so that other programs can
// be configured with them.
const (
	serverKey    = "5d8252ea2e6729223f30d477d79a5c3cb45f8e03"
	serverSecret = "not-a-secret-only-for-the-fake-server"
)

func main() {
	var config passporttest.Config
	flags := flag.NewFlagSet("fakeserver", flag.ContinueOnError)
	flags.StringVar(&config.Addr, "addr", "127.0.0.1:8481", "the loopback `address` to listen on")
	flags.DurationVar(&config.Lifetime, "lifetime", 10*time.Minute, "how long tokens live")
	flags.DurationVar(&config.TokenLatency, "latency", 0, "how long the token endpoint takes")
	cli.Main(flags, func() error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return run(ctx, config)
	})
}

// run runs the fake server until ctx is done.
func run(ctx context.Context, config passporttest.Config) error {
	config.ServerKey, config.ServerSecret = serverKey, serverSecret
	server, err := passporttest.Start(config)
	if err != nil {
		return cli.Listening(config.Addr, err)
	}
	defer server.Close()
	fmt.Printf(usage, server.URL(), serverKey, serverSecret)
	<-ctx.Done()
	return nil
}

const usage = `A fake of Pismo listens on %[1]s. Stop it with Ctrl-C.

Get a token for account 102681871, and use it:

  TOKEN=$(curl -s %[1]s/passport/v2/s2s/access-token \
    -H 'Content-Type: application/json' \
    -d '{"server_key":"%[2]s","server_secret":"%[3]s","account_id":102681871}' |
    sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -i %[1]s/v1/accounts/102681871 -H "Authorization: Bearer $TOKEN"
  curl -i %[1]s/v1/payments -H "Authorization: Bearer $TOKEN" -d '{"amount":100}'

Another account's data, and a 401 that is a business answer:

  curl -i %[1]s/v1/accounts/102681872 -H "Authorization: Bearer $TOKEN"
  curl -i -X POST %[1]s/v1/refusals/EUPI0120 -H "Authorization: Bearer $TOKEN"

For a program that uses this library:

  export PISMO_BASE_URL=%[1]s
  export PISMO_SERVER_KEY=%[2]s
  export PISMO_SERVER_SECRET=%[3]s
`
