// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/pismoauth/pismoauth/caddyplugin/redisstore"
)

var update = flag.Bool("update", false, "write the golden file anew")

// adapt returns the JSON of a Caddyfile.
func adapt(text string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// inStore returns a Caddyfile with lines in a store, from line 8.
func inStore(lines string) string {
	return "{\n\tpismo {\n\t\tclient main {\n\t\t\tbase_url https://sandbox.pismolabs.io\n\t\t\tserver_key {env.PISMO_TEST_KEY}\n\t\t\tserver_secret {env.PISMO_TEST_SECRET}\n\t\t\tstore redis {\n" + lines + "\n\t\t\t}\n\t\t}\n\t}\n}\n"
}

func TestCaddyfile_AdaptsToJSON(t *testing.T) {
	source, err := os.ReadFile("testdata/store.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if formatted := caddyfile.Format(source); !bytes.Equal(formatted, source) {
		t.Errorf("the Caddyfile does not have the format of caddy fmt, want\n%s", formatted)
	}
	config, err := adapt(string(source))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if *update {
		if err := os.WriteFile("testdata/store.json", got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/store.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s", got.Bytes())
	}
}

func TestCaddyfile_FaultsNameTheirLine(t *testing.T) {
	for name, test := range map[string]struct{ caddyfile, want string }{
		"no address":             {inStore(""), "store redis needs address, at Caddyfile:"},
		"an argument":            {strings.Replace(inStore(""), "store redis", "store redis x:1", 1), "store redis has no argument; write address <host:port> in its block, at Caddyfile:7"},
		"an empty address":       {inStore("address"), "Caddyfile:8"},
		"no port":                {inStore("address redis.internal"), "address: is not host:port, such as redis.internal:6379; the password is in password_file, and TLS is the option tls, at Caddyfile:8"},
		"a URL with a password":  {inStore("address redis://pismo:hunter2@redis.internal:6379"), "address: is not host:port"},
		"an address twice":       {inStore("address a:1\naddress b:1"), "address is set twice, at Caddyfile:9"},
		"a user only":            {inStore("address a:1\nuser_file /run/user"), "store redis has user_file: add password_file, at Caddyfile:"},
		"a file twice":           {inStore("address a:1\npassword_file a\npassword_file b"), "password_file is set twice, at Caddyfile:10"},
		"an empty prefix":        {inStore("address a:1\nprefix \"\""), "prefix is empty, at Caddyfile:9"},
		"not a number":           {inStore("address a:1\ndatabase one"), "database is not a whole number from 0 on, at Caddyfile:9"},
		"a negative number":      {inStore("address a:1\ndatabase -1"), "database is not a whole number from 0 on, at Caddyfile:9"},
		"an argument of tls":     {inStore("address a:1\ntls on"), "Caddyfile:9"},
		"a certificate, no key":  {inStore("address a:1\nclient_certificate a.pem"), "Caddyfile:9"},
		"a certificate twice":    {inStore("address a:1\nclient_certificate a b\nclient_certificate a b"), "client_certificate is set twice, at Caddyfile:10"},
		"no authorities":         {inStore("address a:1\ntrusted_ca_certs"), "Caddyfile:9"},
		"a password in the file": {inStore("address a:1\npassword hunter2"), "unrecognized option password of store redis, at Caddyfile:9"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(test.caddyfile)
			if err == nil {
				t.Fatalf("the Caddyfile is accepted: %s", config)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("got %q, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats the password")
			}
		})
	}
}

// validate provisions a Caddyfile, and cleans it up.
func validate(t *testing.T, lines string) error {
	t.Helper()
	t.Setenv("PISMO_TEST_KEY", strings.Repeat("k", 40))
	t.Setenv("PISMO_TEST_SECRET", strings.Repeat("s", 32))
	config, err := adapt(inStore(lines))
	if err != nil {
		t.Fatal(err)
	}
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&parsed)
}

// A server that is away, and files that appear later, keep no configuration
// from loading. Files of TLS must be there: without them, nothing could be
// verified.
func TestStore_Provision(t *testing.T) {
	t.Setenv("REDIS_HOST", "127.0.0.1")
	t.Setenv("REDIS_URL", "redis://pismo:hunter2@redis.internal")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ lines, want string }{
		"nothing listens":          {"address 127.0.0.1:1", ""},
		"a placeholder":            {"address {env.REDIS_HOST}:1", ""},
		"no password yet":          {"address 127.0.0.1:1\npassword_file " + dir + "/none", ""},
		"an unset variable":        {"address {env.PISMO_NO_SUCH_VARIABLE}:1", "address: evaluated placeholder"},
		"a URL from a placeholder": {"address {env.REDIS_URL}", "address: is not host:port"},
		"no authority":             {"address a.example:1\ntrusted_ca_certs " + dir + "/none", "trusted_ca_certs: open"},
		"an empty authority":       {"address a.example:1\ntrusted_ca_certs " + dir + "/empty.pem", "has no certificate in PEM"},
		"no client certificate":    {"address a.example:1\nclient_certificate " + dir + "/a " + dir + "/b", "client_certificate: "},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, test.lines)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats the password")
			}
		})
	}
}

// JSON can have faults that a Caddyfile cannot have.
func TestStore_FaultsInJSON(t *testing.T) {
	for name, test := range map[string]struct{ json, want string }{
		"no address":            {`{}`, "address: is not set"},
		"a user only":           {`{"address":["a:1"],"user_file":"u"}`, "user_file: is set, but password_file is not"},
		"a negative number":     {`{"address":["a:1"],"database":-1}`, "database: is negative"},
		"a certificate, no key": {`{"address":["a:1"],"tls":{"certificate_file":"c"}}`, "client_certificate: needs two files"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			defer cancel()
			_, err := ctx.LoadModuleByID("pismo.stores.redis", json.RawMessage(test.json))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Stores with the same options share a connection. The last one closes it.
func TestStore_SharesConnection(t *testing.T) {
	accepted := make(chan net.Conn, 10)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	load := func(options string) (module any, cleanup func()) {
		t.Helper()
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		module, err := ctx.LoadModuleByID("pismo.stores.redis", json.RawMessage(fmt.Sprintf(`{"address":[%q]%s}`, listener.Addr(), options)))
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		return module, cancel
	}
	first, endFirst := load("")
	second, endSecond := load("")
	other, endOther := load(`,"prefix":"other:"`)
	defer endOther()
	if shared(first) != shared(second) || shared(first) == shared(other) {
		t.Error("stores do not share their connection, or different ones do")
	}
	endFirst()
	if isClosed(t, second) {
		t.Error("the connection was closed while a store uses it")
	}
	endSecond()
	if !isClosed(t, second) {
		t.Error("the connection of the last store is open")
	}
	third, endThird := load("")
	defer endThird()
	if isClosed(t, third) {
		t.Error("a new store has a closed connection")
	}
	for len(accepted) > 0 {
		_ = (<-accepted).Close()
	}
}
