// Double is a double of Pismo, by itself: the token endpoint and a small
// resource API behind it, on a fixed loopback port, for curl and for programs
// in any language.
//
//	go run ./examples/double
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The credentials are made up, and fixed so that they can be configured
// elsewhere.
const (
	serverKey    = "5d8252ea2e6729223f30d477d79a5c3cb45f8e03"
	serverSecret = "not-a-secret-only-for-the-double"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8481", "the loopback `address` to listen on")
	lifetime := flag.Duration("lifetime", 10*time.Minute, "how long tokens live")
	latency := flag.Duration("latency", 0, "how long the token endpoint takes")
	flag.Parse()
	server, err := passporttest.Start(passporttest.Config{
		Addr:         *addr,
		Lifetime:     *lifetime,
		Latency:      *latency,
		ServerKey:    serverKey,
		ServerSecret: serverSecret,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	fmt.Printf(usage, server.URL(), serverKey, serverSecret)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
}

const usage = `A double of Pismo listens on %[1]s. Stop it with Ctrl-C.

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
