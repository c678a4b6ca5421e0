// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// buildCaddy builds the binary of Caddy with the plugin. The caller removes it.
func buildCaddy(ctx context.Context) (binary string, remove func(), err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", nil, err
	}
	root := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "..", "..")
	dir, err := os.MkdirTemp("", "proxyload")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	binary = filepath.Join(dir, "caddy")
	build := exec.CommandContext(ctx, "go", "-C", filepath.Join(root, "caddyplugin"), "build", "-o", binary, "./cmd/caddy")
	build.Env = append(os.Environ(), "GOWORK=off")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build Caddy: %w", err)
	}
	return binary, remove, nil
}

// runCaddyProxy runs a Caddy as the proxy, in its own process.
func runCaddyProxy(l messages, a proxyConfig) (err error) {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	directive, err := a.Variant.directive(a.Platform)
	if err != nil {
		return err
	}
	stop, err := startCaddy(a, admin, address, directive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := l.Encode(address); err != nil {
		return err
	}
	for {
		if err := l.Decode(&struct{}{}); err != nil {
			return err
		}
		spent, err := usageOfCaddy(admin)
		if err != nil {
			return err
		}
		if err := l.Encode(spent); err != nil {
			return err
		}
	}
}

// directive returns the Caddyfile directive of a variant.
func (v variant) directive(p platform) (string, error) {
	host := strings.TrimPrefix(p.URL, "http://")
	if v == caddyPismo {
		return "pismo_proxy " + host + " {\n account " + account + "\n}", nil
	}
	source, err := tokensource.New(tokensource.Config{Issuer: &passport.S2S{
		BaseURL:     p.URL,
		Credentials: passport.StaticCredentials(p.ServerKey, p.ServerSecret),
	}})
	if err != nil {
		return "", err
	}
	acct, err := tokensource.ParseAccountID(account)
	if err != nil {
		return "", err
	}
	token, err := source.Token(context.Background(), acct)
	if err != nil {
		return "", err
	}
	return "reverse_proxy " + host + " {\n header_up Authorization \"Bearer " + token.Reveal() + "\"\n}", nil
}

// startCaddy starts a Caddy and waits until it serves. Both variants have the
// plugin with a client, so that only the directive differs.
func startCaddy(a proxyConfig, admin, address, directive string) (stop func() error, err error) {
	pingback, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer pingback.Close()
	dir := filepath.Dir(a.Binary)
	file := filepath.Join(dir, "Caddyfile-"+rand.Text())
	if err := os.WriteFile(file, []byte(caddyfile(a.Platform, admin, address, directive)), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), a.Binary, "run", "--config", file, "--adapter", "caddyfile", "--pingback", pingback.Addr().String())
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir,
		"PISMO_SERVER_KEY="+a.Platform.ServerKey, "PISMO_SERVER_SECRET="+a.Platform.ServerSecret)
	word := rand.Text()
	cmd.Stdin = strings.NewReader(word)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error {
		_ = cmd.Process.Signal(os.Interrupt)
		return cmd.Wait()
	}
	if err := pingback.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, errors.Join(err, stop())
	}
	conn, err := pingback.Accept()
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != word {
		return nil, errors.Join(errors.New("caddy does not begin to serve"), err, stop())
	}
	return stop, nil
}

func caddyfile(p platform, admin, address, directive string) string {
	return `{
	admin ` + admin + `
	auto_https off
	persist_config off
	grace_period 1s
	log {
		output discard
	}
	pismo {
		client main {
			base_url ` + p.URL + `
			server_key {env.PISMO_SERVER_KEY}
			server_secret {env.PISMO_SERVER_SECRET}
		}
	}
}
http://` + address + ` {
	bind 127.0.0.1
	` + directive + `
}
`
}

// usageOfCaddy returns the processor time of a Caddy so far.
func usageOfCaddy(admin string) (usage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return usage{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return usage{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "process_cpu_seconds_total "); ok {
			seconds, err := strconv.ParseFloat(text, 64)
			return usage{time.Duration(seconds * float64(time.Second))}, err
		}
	}
	return usage{}, errors.Join(errors.New("caddy does not tell its processor time"), lines.Err())
}

func freeAddress() (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
