// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

const (
	account  = "102681871"
	patience = 30 * time.Second
)

// A fixture is a running service in front of a fake server.
type fixture struct {
	*testing.T
	pismo  *passporttest.Server
	key    *rsa.PrivateKey
	env    map[string]string
	public string // the address for the app
	admin  string
	log    *logBuffer
	stop   context.CancelFunc
	ended  chan error
}

// A logBuffer keeps the log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t *testing.T, config passporttest.Config) *fixture {
	t.Helper()
	f := &fixture{T: t, pismo: passporttest.NewServer(t, config), log: new(logBuffer), ended: make(chan error, 1)}
	var err error
	if f.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	for name, content := range map[string][]byte{
		"server_key":    []byte(f.pismo.ServerKey()),
		"server_secret": []byte(f.pismo.ServerSecret()),
		"public.pem":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.env = map[string]string{
		"PISMO_BASE_URL": f.pismo.URL(), "CREDENTIALS_DIRECTORY": directory, "READY_ACCOUNT": account,
		"JWT_ISSUER": "login", "JWT_AUDIENCE": "app", "JWT_PUBLIC_KEY_FILE": filepath.Join(directory, "public.pem"),
		"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0",
	}
	ctx, stop := context.WithCancel(t.Context())
	f.stop = stop
	go func() {
		f.ended <- run(ctx, f.getenv, slog.New(slog.NewJSONHandler(f.log, nil)))
	}()
	t.Cleanup(stop)
	f.awaitListening()
	return f
}

func (f *fixture) getenv(name string) string { return f.env[name] }

// awaitListening finds the addresses in the log.
func (f *fixture) awaitListening() {
	f.Helper()
	f.await("the service listens", func() bool {
		for line := range strings.Lines(f.log.String()) {
			var entry struct {
				Address string `json:"address"`
				Admin   string `json:"admin_address"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Address != "" {
				f.public, f.admin = entry.Address, entry.Admin
				return true
			}
		}
		select {
		case err := <-f.ended:
			f.Fatalf("the service ended: %v", err)
		default:
		}
		return false
	})
}

// await waits until done reports true.
func (f *fixture) await(what string, done func() bool) {
	f.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(patience); !done(); <-look.C {
		if time.Now().After(deadline) {
			f.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (f *fixture) get(address, path, bearer string) (int, string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		f.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// token returns a JWT of the app's login.
func (f *fixture) token(claims jwt.MapClaims) string {
	f.Helper()
	claims["iss"], claims["aud"], claims["exp"] = "login", "app", time.Now().Add(time.Hour).Unix()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(f.key)
	if err != nil {
		f.Fatal(err)
	}
	return signed
}

func TestService_ActsForTheAccountOfTheJWT(t *testing.T) {
	f := start(t, passporttest.Config{})
	bearer := f.token(jwt.MapClaims{"account_id": account})
	if status, text := f.get(f.public, "/v1/accounts/"+account, bearer); status != http.StatusOK {
		t.Errorf("got status %d: %s, want 200", status, text)
	}
	if status, _ := f.get(f.public, "/v1/accounts/"+account, ""); status != http.StatusUnauthorized {
		t.Errorf("without a JWT: got status %d, want 401", status)
	}
	f.pismo.RevokeAll()
	if status, _ := f.get(f.public, "/v1/accounts/"+account, bearer); status != http.StatusOK {
		t.Errorf("after a revocation: got status %d, want 200", status)
	}
	if n := f.pismo.Counts().Accounts[account].Issued; n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
	if _, text := f.get(f.admin, "/metrics", ""); !strings.Contains(text, `pismo_token_rejections_total{`) {
		t.Errorf("the metrics are %.300s", text)
	}
	for _, secret := range []string{f.pismo.ServerKey(), f.pismo.ServerSecret(), account, bearer} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log has a secret or an account: %s", f.log)
		}
	}
}

// Probes must not add load: they may not cause a token request each.
func TestReadiness_IssuesNoTokenPerProbe(t *testing.T) {
	f := start(t, passporttest.Config{})
	for range 20 {
		if status, _ := f.get(f.admin, "/readyz", ""); status/100 != 2 {
			t.Fatalf("/readyz: got status %d, want 2xx", status)
		}
	}
	if n := f.pismo.Counts().TokenRequests; n != 1 {
		t.Errorf("20 probes cost %d token requests, want 1", n)
	}
	if status, _ := f.get(f.admin, "/healthz", ""); status/100 != 2 {
		t.Errorf("/healthz: got status %d, want 2xx", status)
	}
}

func TestReadiness_FailsWithoutAToken(t *testing.T) {
	f := start(t, passporttest.Config{})
	f.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
	if status, _ := f.get(f.admin, "/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", status)
	}
	if status, _ := f.get(f.admin, "/healthz", ""); status/100 != 2 {
		t.Errorf("/healthz: got status %d: the process is alive", status)
	}
}

func TestRun_DrainsRunningRequests(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	f := start(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "done")
	})})
	answered := make(chan string, 1)
	go func() {
		_, text := f.get(f.public, "/v1/slow", f.token(jwt.MapClaims{"account_id": account}))
		answered <- text
	}()
	<-arrived
	f.stop()
	f.await("the listener is closed", func() bool { return refuses(f.public) })
	close(release)
	if text := <-answered; text != "done" {
		t.Errorf("the running request got %q", text)
	}
	if err := <-f.ended; err != nil {
		t.Errorf("the service ended with %v", err)
	}
}

// refuses reports whether an address refuses connections.
func refuses(address string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

func TestConfig_ReportsEveryFault(t *testing.T) {
	_, err := newConfig(func(name string) string {
		return map[string]string{"PISMO_BASE_URL": "sandbox.pismolabs.io", "DRAIN": "soon", "JWT_PUBLIC_KEY_FILE": "/nowhere", "READY_ACCOUNT": "0"}[name]
	})
	if err == nil {
		t.Fatal("a faulty configuration is accepted")
	}
	for _, want := range []string{
		"PISMO_BASE_URL: it has no host", "PISMO_SERVER_KEY_FILE is not set", "PISMO_SERVER_SECRET_FILE is not set",
		"READY_ACCOUNT: ", "JWT_ISSUER is not set", "JWT_AUDIENCE is not set", "JWT_PUBLIC_KEY_FILE: ", "DRAIN: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestRun_FailsWithoutItsSecret(t *testing.T) {
	f := start(t, passporttest.Config{})
	f.env["CREDENTIALS_DIRECTORY"] = t.TempDir() // The service has already read its environment.
	err := run(t.Context(), f.getenv, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "server_key") {
		t.Errorf("got error %v, want an error that names the missing file", err)
	}
}
