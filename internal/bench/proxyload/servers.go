// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A platform is the address and the credentials of the fake server.
type platform struct{ URL, ServerKey, ServerSecret string }

// account is the account that all requests are for.
const account = "102681871"

// runFakeServer runs the fake server.
func runFakeServer(l messages) error {
	// No token expires during a run, because static tokens are not renewed.
	fake, err := passporttest.Start(passporttest.Config{Lifetime: 24 * time.Hour})
	if err != nil {
		return err
	}
	defer fake.Close()
	for {
		if err := l.Decode(&struct{}{}); err != nil {
			return err
		}
		if err := l.Encode(platform{fake.URL(), fake.ServerKey(), fake.ServerSecret()}); err != nil {
			return err
		}
	}
}

// A proxyConfig is the configuration of a proxy.
type proxyConfig struct {
	Variant  variant
	Platform platform
	Profile  string // a file for a profile of the processor time, or ""
	Binary   string // of Caddy, if the proxy is one
}

// A usage is the processor time of a proxy so far.
type usage struct{ CPU time.Duration }

// runProxy runs a proxy.
func runProxy(l messages) error {
	var a proxyConfig
	if err := l.Decode(&a); err != nil {
		return err
	}
	if a.Binary != "" {
		return runCaddyProxy(l, a)
	}
	handler, err := a.Variant.handler(a.Platform)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }() // The server ends with the process.
	if err := l.Encode(listener.Addr().String()); err != nil {
		return err
	}
	return reportUsage(l, a.Profile)
}

// reportUsage answers every question with the usage so far. The profile begins
// with the first question, so that it does not include the warm-up.
func reportUsage(l messages, profile string) error {
	for first := true; ; first = false {
		if err := l.Decode(&struct{}{}); err != nil {
			return err
		}
		if first && profile != "" {
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			defer stop()
		}
		spent, err := cpuTime()
		if err != nil {
			return err
		}
		if err := l.Encode(usage{spent}); err != nil {
			return err
		}
	}
}

// startProfile starts a profile of the processor time that is written to a file
// of this name. The caller calls stop.
func startProfile(name string) (stop func(), err error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}
