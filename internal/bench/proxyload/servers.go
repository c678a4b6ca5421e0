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

// A platform is where the fake server is, and how to get tokens from it.
type platform struct{ URL, ServerKey, ServerSecret string }

// account is the account that all requests are for.
const account = "102681871"

// playDouble is the platform.
func playDouble(l line) error {
	// Nobody renews a token during a run: a static one could not be.
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

// An assignment says what a proxy has to be.
type assignment struct {
	Variant  variant
	Platform platform
	Profile  string // a file for a profile of the processor time, or ""
	Binary   string // of Caddy, if the proxy is one
}

// A usage is the processor time that a proxy has taken so far.
type usage struct{ CPU time.Duration }

// playProxy is a proxy.
func playProxy(l line) error {
	var a assignment
	if err := l.Decode(&a); err != nil {
		return err
	}
	if a.Binary != "" {
		return playCaddy(l, a)
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
	go func() { _ = server.Serve(listener) }() // Until the process ends.
	if err := l.Encode(listener.Addr().String()); err != nil {
		return err
	}
	return reportUsage(l, a.Profile)
}

// reportUsage answers every question with the usage so far. The profile begins
// with the first, so that it has no start and no warm-up in it.
func reportUsage(l line, profile string) error {
	for first := true; ; first = false {
		if err := l.Decode(&struct{}{}); err != nil {
			return err
		}
		if first && profile != "" {
			file, err := os.Create(profile)
			if err != nil {
				return err
			}
			defer file.Close()
			if err := pprof.StartCPUProfile(file); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
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
