// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
)

// wantNoSecret searches all outputs of the servers, and all that Redis has.
func (f *fleet) wantNoSecret() {
	f.t.Helper()
	places := map[string]string{}
	for i, s := range f.servers {
		places[fmt.Sprint("the log of server ", i)] = s.log()
		places[fmt.Sprint("inspect of server ", i)] = s.inspect()
		for _, path := range []string{"/pismo/clients", "/metrics", "/config/"} {
			places[fmt.Sprint(path, " of server ", i)] = s.ask(path)
		}
	}
	if f.redis.command.ProcessState == nil { // It runs.
		for key := range strings.FieldsSeq(f.redis.cli(f.t, "-n", "1", "--scan")) {
			places["Redis"] += key + f.redis.cli(f.t, "-n", "1", "GET", key)
		}
		if !strings.Contains(places["Redis"], "pismo:") {
			f.t.Error("Redis has no key: the test proves nothing")
		}
	}
	secrets := append(accounts(), redisPassword, serverKey, serverSecret)
	tokens := 0
	f.tokens.Range(func(token, _ any) bool {
		tokens++
		secrets = append(secrets, token.(string))
		return true
	})
	if tokens < len(accounts()) {
		f.t.Errorf("the platform saw %d tokens: the test proves nothing", tokens)
	}
	for place, text := range places {
		if text == "" {
			f.t.Errorf("%s is empty", place)
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				f.t.Errorf("%s shows %.12q", place, secret)
			}
		}
	}
}
