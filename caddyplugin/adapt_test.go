// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// For each Caddyfile, testdata/adapt has the JSON of the same configuration.
func TestCaddyfile_AdaptsToJSON(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfile")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, error %v, want more", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfile"), func(t *testing.T) {
			source, err := os.ReadFile(file)
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
			golden := strings.TrimSuffix(file, "caddyfile") + "json"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%s", got.Bytes())
			}
		})
	}
}

// inClient returns a Caddyfile with more lines in a client, from line 7.
func inClient(lines string) string {
	return "{\n\tpismo {\n\t\tclient main {\n\t\t\tbase_url https://sandbox.pismolabs.io\n\t\t\tserver_key {env.KEY}\n\t\t\tserver_secret {env.SECRET}\n" + lines + "\n\t\t}\n\t}\n}\n"
}

// inSite returns a Caddyfile with lines in a site, from line 2.
func inSite(lines string) string { return "example.com {\n" + lines + "\n}\n" }

func TestCaddyfile_FaultsNameTheirLine(t *testing.T) {
	for name, test := range map[string]struct{ caddyfile, want string }{
		"no client":                {"{\n\tpismo {\n\t}\n}\n", "pismo defines no client, at Caddyfile:"},
		"an argument":              {"{\n\tpismo main\n}\n", "wrong argument count or unexpected line ending after 'main', at Caddyfile:2"},
		"not a client":             {"{\n\tpismo {\n\t\tserver main\n\t}\n}\n", "unrecognized option server; the only option is client, at Caddyfile:3"},
		"a client without name":    {"{\n\tpismo {\n\t\tclient {\n\t\t}\n\t}\n}\n", "Caddyfile:3"},
		"a client without options": {"{\n\tpismo {\n\t\tclient main\n\t}\n}\n", "client main needs base_url, server_key and server_secret, at Caddyfile:3"},
		"a client twice":           {"{\n\tpismo {\n\t\tclient a {\n\t\t\tbase_url https://a.example\n\t\t\tserver_key {env.K}\n\t\t\tserver_secret {env.S}\n\t\t}\n\t\tclient a {\n\t\t}\n\t}\n}\n", "client a is defined twice, at Caddyfile:8"},
		"an unknown option":        {inClient("timeout 10s"), "unrecognized option timeout of a client, at Caddyfile:7"},
		"an option twice":          {inClient("base_url https://other.example"), "base_url is set twice, at Caddyfile:7"},
		"an empty option":          {inClient("secret_field \"\""), "secret_field is empty, at Caddyfile:7"},
		"no argument":              {inClient("secret_field"), "Caddyfile:7"},
		"an argument too many":     {inClient("bare yes"), "Caddyfile:7"},
		"not a URL":                {"{\n\tpismo {\n\t\tclient main {\n\t\t\tbase_url sandbox.pismolabs.io\n\t\t}\n\t}\n}\n", `base_url does not begin with "https://", at Caddyfile:4`},
		"plain HTTP":               {strings.Replace(inClient(""), "https:", "http:", 1), `client main: base_url: scheme "http" would send the credentials in the clear; use "https", at Caddyfile:3`},
		"two who are trusted":      {inClient("trusted_ca_certs a.pem\ntls_trust_pool file b.pem"), "client main: trusted_ca_certs: is set, and tls_trust_pool is set too: remove one of the two, at Caddyfile:3"},
		"hosts without hosts":      {inClient("hosts"), "Caddyfile:7"},
		"a host with port":         {inClient("hosts sandbox.pismolabs.io:443"), `hosts: "sandbox.pismolabs.io:443" has a port: remove the port, since a certificate proves only a name, at Caddyfile:7`},
		"a literal secret":         {strings.Replace(inClient(""), "{env.SECRET}", "hunter2", 1), "server_secret: is not one placeholder {env.*} or {file.*}; a value that stands in the configuration, as {$VAR} puts it there, ends in autosave.json and in the admin API's /config/, at Caddyfile:6"},
		"a literal key":            {strings.Replace(inClient(""), "{env.KEY}", "x{env.KEY}", 1), "server_key: is not one placeholder"},
		"another placeholder":      {strings.Replace(inClient(""), "{env.KEY}", "{system.hostname}", 1), "server_key: is not one placeholder"},
		"a header without value":   {inClient("header X-Gateway"), "Caddyfile:7"},
		"a field without value":    {inClient("field a"), "Caddyfile:7"},
		"a field that is no JSON":  {inClient("field a text"), "the value of field a is not JSON"},
		"a field twice":            {inClient("field a 1\nfield a 2"), "field a is set twice, at Caddyfile:8"},
		"a certificate, no key":    {inClient("client_certificate cert.pem"), "Caddyfile:7"},
		"no authorities":           {inClient("trusted_ca_certs"), "Caddyfile:7"},
		"not a duration":           {inClient("issue_timeout soon"), "issue_timeout is not a duration above zero, such as 10s, at Caddyfile:7"},
		"a duration of nothing":    {inClient("issue_timeout 0s"), "issue_timeout is not a duration above zero"},
		"not a number":             {inClient("max_accounts many"), "max_accounts is not a whole number above zero, at Caddyfile:7"},
		"a negative number":        {inClient("max_issuances -1"), "max_issuances is not a whole number above zero, at Caddyfile:7"},

		"a store twice":            {inClient("store caddy\nstore caddy"), "store is set twice, at Caddyfile:8"},
		"a store without name":     {inClient("store"), "Caddyfile:7"},
		"an unknown store":         {inClient("store redis2"), "this Caddy has no module pismo.stores.redis2: build it in, such as github.com/pismoauth/pismoauth/caddyplugin/redisstore for redis, at Caddyfile:7"},
		"a store with an argument": {inClient("store caddy now"), "Caddyfile:7"},
		"a store with an option":   {inClient("store caddy {\nfolder a\n}"), "store caddy has no option folder, at Caddyfile:8"},
		"a literal store key":      {inClient("store caddy\nstore_key hunter2"), "store_key: is not one placeholder"},
		"a store key alone":        {inClient("store_key {env.K}"), "client main has store_key, but no store, at Caddyfile:3"},

		"no account":                {inSite("pismo_auth"), "account: is not set; give a placeholder such as {http.auth.user.id}, or the word organization, at Caddyfile:2"},
		"two accounts":              {inSite("pismo_auth {\naccount {a}\naccount_header X-Account [0-9]+\n}"), "account: is set, and account_header is set too: remove one of the two"},
		"an account twice":          {inSite("pismo_auth {\naccount {a}\naccount {b}\n}"), "account is set twice, at Caddyfile:4"},
		"no account id":             {inSite("pismo_auth {\naccount main\n}"), "account: is neither a placeholder, nor the word organization, nor an account id"},
		"a header as account":       {inSite("pismo_auth {\naccount {header.X-Account}\n}"), "account: is a header that a client may set: use account_header with a pattern"},
		"a query as account":        {inSite("pismo_auth {\naccount {query.account}\n}"), "account: is a value that the client controls"},
		"a cookie as account":       {inSite("pismo_auth {\naccount {cookie.account}\n}"), "account: is a value that the client controls"},
		"a host as account":         {inSite("pismo_auth {\naccount {labels.2}\n}"), "account: is a value that the client controls"},
		"a body as account":         {inSite("pismo_auth {\naccount {http.request.body}\n}"), "account: is a value that the client controls"},
		"a path as account":         {inSite("pismo_auth {\naccount {path.1}\n}"), "account: is a value that the client controls"},
		"a match as account":        {inSite("pismo_auth {\naccount {re.account.1}\n}"), "account: is a value that the client controls"},
		"a pattern, no placeholder": {inSite("pismo_auth {\naccount organization\naccount_pattern [0-9]+\n}"), "account_pattern: applies to a placeholder, and account is not a placeholder"},
		"a header's two patterns":   {inSite("pismo_auth {\naccount_header X-Account [0-9]+\naccount_pattern [0-9]{9}\n}"), "account_pattern: applies to account only: give the pattern after the field of account_header"},
		"a header without pattern":  {inSite("pismo_auth {\naccount_header X-Account\n}"), "Caddyfile:3"},
		"a header twice":            {inSite("pismo_auth {\naccount_header A [0-9]\naccount_header B [0-9]\n}"), "account_header is set twice, at Caddyfile:4"},
		"a header's bad pattern":    {inSite("pismo_auth {\naccount_header X-Account [0-9\n}"), "account_header: is not a regular expression"},
		"a bad pattern":             {inSite("pismo_auth {\naccount {a}\naccount_pattern a)|(b\n}"), "account_pattern: is not a regular expression"},
		"a pattern without account": {inSite("reverse_proxy a.example {\ntransport pismo {\naccount_pattern [0-9]+\n}\n}"), "account_pattern: has no effect without account"},
		"errors, not handled":       {inSite("pismo_auth {\naccount {a}\nerrors ignore\n}"), "errors: is not the word handle"},
		"an unknown option of auth": {inSite("pismo_auth {\naccount {a}\ntoken x\n}"), "unrecognized option token of pismo_auth, at Caddyfile:4"},
		"two clients":               {inSite("pismo_auth a b"), "Caddyfile:2"},
		"inject with an argument":   {inSite("pismo_auth {\naccount {a}\ninject yes\n}"), "Caddyfile:4"},

		"a transport's unknown option": {inSite("reverse_proxy a.example {\ntransport pismo {\ndial_timeouts 1s\n}\n}"), "unrecognized subdirective dial_timeouts, at Caddyfile:4"},
		"a transport's bad duration":   {inSite("reverse_proxy a.example {\ntransport pismo {\nhosts a.example\ndial_timeout soon\n}\n}"), "Caddyfile:5"},
		"a transport's two clients":    {inSite("reverse_proxy a.example {\ntransport pismo a b\n}"), "Caddyfile:3"},
		"a transport's bad size":       {inSite("reverse_proxy a.example {\ntransport pismo {\nmax_replay_body much\n}\n}"), "max_replay_body is not a size of up to 1GiB, such as 64KiB, nor the word off, at Caddyfile:4"},
		"a transport's huge size":      {inSite("reverse_proxy a.example {\ntransport pismo {\nmax_replay_body 2GiB\n}\n}"), "max_replay_body is not a size"},
		"a transport's bad account":    {inSite("reverse_proxy a.example {\ntransport pismo {\naccount me\n}\n}"), "account: is neither a placeholder"},

		"a misspelt account":            {inSite("pismo_proxy https://a.example {\naccounts {a}\n}"), "unrecognized subdirective accounts, at Caddyfile:3"},
		"a misspelt account of auth":    {inSite("pismo_auth {\naccounts {a}\n}"), "unrecognized option accounts of pismo_auth, at Caddyfile:3"},
		"a misspelt account below":      {inSite("pismo_proxy https://a.example {\naccount {a}\ntransport pismo {\naccounts {a}\n}\n}"), "unrecognized subdirective accounts, at Caddyfile:5"},
		"a bad account at its line":     {inSite("pismo_proxy https://a.example {\naccount alice\nlb_retries 3\n}"), "account: is neither a placeholder, nor the word organization, nor an account id, at Caddyfile:3"},
		"a bad pattern at its line":     {inSite("pismo_proxy https://a.example {\naccount {a}\naccount_pattern [\nlb_retries 3\n}"), "Caddyfile:4"},
		"bad errors at their line":      {inSite("pismo_proxy https://a.example {\naccount {a}\nerrors ignore\nlb_retries 3\n}"), "errors: is not the word handle, at Caddyfile:4"},
		"two accounts at their line":    {inSite("pismo_proxy https://a.example {\naccount {a}\nlb_retries 3\naccount_header A [0-9]+\nlb_policy first\n}"), "account: is set, and account_header is set too: remove one of the two, at Caddyfile:5"},
		"no account, at the directive":  {inSite("pismo_proxy https://a.example {\nlb_retries 3\n}"), "account: is not set; give a placeholder such as {http.auth.user.id}, or the word organization, at Caddyfile:2"},
		"a bad account of health":       {inSite("pismo_proxy https://a.example {\naccount {a}\nhealth_account {a}\nlb_retries 3\n}"), "health_account: is neither an account id, nor the word organization, nor the word off, at Caddyfile:4"},
		"a bad account of health below": {inSite("pismo_proxy https://a.example {\naccount {a}\ntransport pismo {\nhealth_account on\n}\n}"), "health_account: is neither an account id, nor the word organization, nor the word off, at Caddyfile:5"},
		"bad errors below":              {inSite("reverse_proxy a.example {\ntransport pismo {\nerrors ignore\n}\n}"), "errors: is not the word handle, at Caddyfile:4"},
		"an undefined client":           {inClient("") + inSite("pismo_proxy other.example {\nlb_retries 3\nclient other\naccount {a}\n}"), "client other is not defined; there are: main, at Caddyfile:12"},
		"an undefined client of auth":   {inClient("") + inSite("pismo_auth other {\naccount {a}\n}"), "client other is not defined; there are: main, at Caddyfile:12"},
		"several clients":               {strings.Replace(inClient(""), "client main {", "client one {\nbase_url https://a.example\nserver_key {env.K}\nserver_secret {env.S}\n}\nclient main {", 1) + inSite("pismo_proxy a.example {\naccount {a}\n}"), "there are several clients: name one of main, one, at Caddyfile:17"},
		"a client's bad transport":      {inClient("dial_timeout soon"), "Caddyfile:7"},
		"a client's other transport":    {inClient("proxy_protocol v2"), "unrecognized option proxy_protocol of a client, at Caddyfile:7"},
		"a client's network proxy":      {inClient("network_proxy nowhere"), "Caddyfile:7"},
		"a proxy without upstream":      {inSite("pismo_proxy {\naccount {a}\n}"), "pismo_proxy has no upstream; give the address of the platform, such as https://sandbox.pismolabs.io"},
		"a proxy without account":       {inSite("pismo_proxy https://a.example"), "account: is not set"},
		"a proxy that injects":          {inSite("pismo_proxy https://a.example {\naccount {a}\ninject\n}"), "inject has no effect in pismo_proxy: remove it, or use pismo_auth, at Caddyfile:4"},
		"a proxy's other transport":     {inSite("pismo_proxy https://a.example {\naccount {a}\ntransport http\n}"), "the transport of pismo_proxy must be pismo: it has all options of transport http, at Caddyfile:4"},
		"a proxy's two transports":      {inSite("pismo_proxy https://a.example {\naccount {a}\ntransport pismo\ntransport pismo\n}"), "transport is set twice, at Caddyfile:5"},
		"a proxy's contradicting names": {inSite("pismo_proxy https://a.example {\naccount {a}\nclient a\ntransport pismo b\n}"), "the transport is that of client b, and the option client names a, at Caddyfile:5"},
		"a proxy's unknown option":      {inSite("pismo_proxy https://a.example {\naccount {a}\nretries 3\n}"), "unrecognized subdirective retries, at Caddyfile:4"},
		"a proxy's bad transport":       {inSite("pismo_proxy https://a.example {\naccount {a}\ntransport pismo {\ndial_timeout soon\n}\n}"), "Caddyfile:5"},
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
				t.Error("the error repeats the secret")
			}
		})
	}
}
