// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// corpusExceptions are the Caddyfiles of Caddy's own tests in which pismo_proxy
// differs from reverse_proxy, each with the reason.
var corpusExceptions = map[string]string{
	"import_block_snippet_non_replaced_block":     "reverse_proxy is the name of a header field",
	"import_block_snippet_non_replaced_key_block": "reverse_proxy is the name of a header field",
	"php_fastcgi_expanded_form":                   "the transport is fastcgi",
	"reverse_proxy_empty_non_http_transport":      "the transport is fastcgi",
}

// Caddy's own tests of its Caddyfile adapter contain every option of
// reverse_proxy. With pismo_proxy in its place, the configuration is the same
// but for the token.
func TestProxy_AdaptsCaddysOwnCorpus(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "caddytest/integration/caddyfile_adapt/*.caddyfiletest"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source, _, _ := strings.Cut(string(text), "\n----------")
		if !directive.MatchString(source) {
			continue
		}
		compared++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			want, wantErr := adapt(source)
			got, gotErr := adapt(withPismoProxy(source))
			alike := gotErr != nil && wantErr != nil ||
				gotErr == nil && wantErr == nil && reflect.DeepEqual(withReverseProxy(t, got), parsed(t, want))
			if excepted := corpusExceptions[filepath.Base(t.Name())] != ""; alike == excepted {
				t.Errorf("pismo_proxy means\n%s %v\nreverse_proxy means\n%s %v", got, gotErr, want, wantErr)
			}
		})
	}
	if compared < 30 {
		t.Errorf("found %d Caddyfiles with reverse_proxy, want 30 or more", compared)
	}
}

// directive matches a line with the directive reverse_proxy.
var directive = regexp.MustCompile(`(?m)^(\s*)reverse_proxy((?:[ \t].*)?)$`)

// httpTransport matches a transport http of a reverse_proxy.
var httpTransport = regexp.MustCompile(`(?m)^(\s*)transport http\b`)

// withPismoProxy replaces reverse_proxy with pismo_proxy.
func withPismoProxy(source string) string {
	source = directive.ReplaceAllStringFunc(source, func(line string) string {
		head := strings.Replace(line, "reverse_proxy", "pismo_proxy", 1)
		if block, ok := strings.CutSuffix(head, "{"); ok {
			return block + "{\n\taccount organization"
		}
		return head + " {\n\taccount organization\n}"
	})
	source = httpTransport.ReplaceAllString(source, "${1}transport pismo")
	const client = "pismo {\n\tclient main {\n\tbase_url https://sandbox.pismolabs.io\n\tserver_key {env.KEY}\n\tserver_secret {env.SECRET}\n}\n}\n"
	if options, ok := strings.CutPrefix(source, "{\n"); ok {
		return "{\n" + client + options
	}
	return "{\n" + client + "}\n" + source
}

// withReverseProxy parses a configuration, and replaces the handlers of
// pismo_proxy with a reverse_proxy.
func withReverseProxy(t *testing.T, config []byte) any {
	t.Helper()
	root, _ := parsed(t, config).(map[string]any)
	if apps, ok := root["apps"].(map[string]any); ok {
		delete(apps, "pismo")
	}
	return replaced(root)
}

func parsed(t *testing.T, config []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(config, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func replaced(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = replaced(value[i])
		}
	case map[string]any:
		if proxy := innerProxy(value); proxy != nil {
			return proxy
		}
		for name := range value {
			value[name] = replaced(value[name])
		}
	}
	return value
}

// innerProxy returns the reverse_proxy in a subroute of pismo_proxy, with the
// transport http. It returns nil for any other subroute.
func innerProxy(subroute map[string]any) map[string]any {
	routes, _ := subroute["routes"].([]any)
	if subroute["handler"] != "subroute" || len(routes) != 1 {
		return nil
	}
	route, _ := routes[0].(map[string]any)
	handlers, _ := route["handle"].([]any)
	if len(handlers) != 2 {
		return nil
	}
	auth, _ := handlers[0].(map[string]any)
	proxy, _ := handlers[1].(map[string]any)
	if auth["handler"] != "pismo_auth" {
		return nil
	}
	transport, _ := proxy["transport"].(map[string]any)
	if delete(transport, "client"); len(transport) == 1 {
		delete(proxy, "transport") // The transport has no option.
	} else {
		transport["protocol"] = "http"
	}
	return proxy
}
