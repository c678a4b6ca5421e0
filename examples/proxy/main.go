// SPDX-License-Identifier: Apache-2.0

// Proxy is an authenticating reverse proxy in front of the platform. An inbound
// request has a token of the proxy's login. The outbound request has a token of
// Pismo.
//
//	go run ./examples/proxy          starts the proxy, and prints commands to try;
//	                                 with the fake below, a page shows live events
//	go run ./examples/proxy -demo    demonstrates the proxy, and checks its figures
//
// Without PISMO_BASE_URL, PISMO_SERVER_KEY and PISMO_SERVER_SECRET (or
// PISMO_SERVER_SECRET_FILE) in the environment, it starts a fake of the
// platform and uses that.
//
// It has two users, alice and bob. Each user has one account and cannot reach
// other accounts. The users log in without a password, because this is an
// example that listens on loopback only. A proxy that others can reach needs a
// real authentication.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/cli"
	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The users of the example.
const (
	alice = "alice"
	bob   = "bob"
)

func main() {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8480", "the loopback `address` to listen on")
	alicesAccount := flags.String(alice, "102681871", "the `account` of alice")
	bobsAccount := flags.String(bob, "102681872", "the `account` of bob")
	isDemo := flags.Bool("demo", false, "demonstrate all features with short-lived tokens, and exit")
	cli.Main(flags, func() error {
		accounts := map[string]string{alice: *alicesAccount, bob: *bobsAccount}
		if err := checkAccounts(accounts); err != nil {
			return err
		}
		log := newLogger(os.Stderr)
		if *isDemo {
			return demo(log, accounts)
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return serve(ctx, log, *addr, accounts)
	})
}

// checkAccounts returns an error if an account is invalid or both are the same.
func checkAccounts(accounts map[string]string) error {
	for _, user := range []string{alice, bob} {
		if _, err := tokensource.ParseAccountID(accounts[user]); err != nil {
			return fmt.Errorf("-%s: %w", user, err)
		}
	}
	if accounts[alice] == accounts[bob] {
		return fmt.Errorf("-%s and -%s are the same account; give each user a different account", alice, bob)
	}
	return nil
}

// serve runs the proxy until ctx is done.
func serve(ctx context.Context, log *slog.Logger, addr string, accounts map[string]string) error {
	listener, err := listen(addr)
	if err != nil {
		return cli.Listening(addr, err)
	}
	defer func() { _ = listener.Close() }()
	fmt.Println("Starting the proxy …")
	pismo, err := platform.FromEnvironment(passporttest.Config{Lifetime: time.Minute, TokenLatency: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	defer pismo.Close()
	login := newLogin(accounts)
	page := newPage(pismo.FakeServer, login)
	proxy, err := newProxy(log, pismo, login, newEvents(log, new(eventCounters)), page)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	printUsage(listener.Addr(), pismo, accounts)
	stopTraffic := page.startTraffic(ctx)
	defer stopTraffic()

	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listen listens on a loopback address. It refuses other addresses, because the
// login of this proxy needs no password.
func listen(addr string) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !tcp.IP.IsLoopback() {
		return nil, errors.New("is not a loopback address, and this proxy needs no password; use 127.0.0.1:8480")
	}
	return net.ListenTCP("tcp", tcp)
}

func printUsage(addr net.Addr, pismo *platform.Platform, accounts map[string]string) {
	if pismo.FakeServer != nil {
		fmt.Printf("Watch it at http://%s/\n\n", addr)
	}
	fmt.Printf(usage, addr, pismo.URL, accounts[alice])
	if pismo.FakeServer != nil {
		fmt.Printf(usageFake, addr, accounts[alice], accounts[bob])
	}
}

const usage = `A proxy for %[2]s listens on http://%[1]s. Stop it with Ctrl-C.

Log in as alice, whose account is %[3]s, and read it:

  TOKEN=$(curl -s -X POST http://%[1]s/login/alice)
  curl -i -H "Authorization: Bearer $TOKEN" http://%[1]s/v1/accounts/%[3]s
`

const usageFake = `
Behind it is a fake of Pismo, with tokens of one minute. Try a payment, bob's
account, a 401 that is a business answer, and a request without a token:

  curl -i -H "Authorization: Bearer $TOKEN" http://%[1]s/v1/payments -d '{"amount":100}'
  curl -i -H "Authorization: Bearer $TOKEN" http://%[1]s/v1/accounts/%[3]s
  curl -i -H "Authorization: Bearer $TOKEN" -X POST http://%[1]s/v1/refusals/EUPI0120
  curl -i http://%[1]s/v1/accounts/%[2]s

Revoke all tokens of Pismo. The proxy renews the token for the next request:

  curl -X POST http://%[1]s/fake/revoke
  curl -i -H "Authorization: Bearer $TOKEN" http://%[1]s/v1/accounts/%[2]s

`
