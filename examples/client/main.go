// SPDX-License-Identifier: Apache-2.0

// Client reads one account from the platform, in the ten lines that a program
// needs.
//
//	go run ./examples/client
//
// Without PISMO_BASE_URL, PISMO_SERVER_KEY and PISMO_SERVER_SECRET (or
// PISMO_SERVER_SECRET_FILE) in the environment, it uses a fake of the platform
// in its own process.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/cli"
	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

func main() {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	account := flags.String("account", "102681871", "the `id` of the account")
	path := flags.String("path", "/v1/accounts/102681871", "the `path` to read")
	cli.Main(flags, func() error {
		pismo, err := platform.FromEnvironment(passporttest.Config{})
		if err != nil {
			return err
		}
		defer pismo.Close()
		return read(pismo, *account, *path)
	})
}

func read(pismo *platform.Platform, id, path string) error {
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer})
	if err != nil {
		return err
	}
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: []string{pismo.URL.Host}})
	if err != nil {
		return err
	}
	client := &http.Client{Transport: authenticated, Timeout: 30 * time.Second}

	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		return fmt.Errorf("-account: %w", err)
	}
	ctx := tokensource.ContextWithAccount(context.Background(), account)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pismo.URL.JoinPath(path).String(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	log.Print(resp.Status)
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}
