// SPDX-License-Identifier: Apache-2.0

package loopback_test

import (
	"net/url"
	"testing"

	"github.com/pismoauth/pismoauth/internal/loopback"
)

func TestIs_OnlyThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost":        true,
		"LocalHost":        true,
		"127.0.0.1":        true,
		"127.255.255.254":  true,
		"::1":              true,
		"0:0:0:0:0:0:0:1":  true,
		"::ffff:127.0.0.1": true,

		"":                          false,
		"localhost.":                false,
		"localhost.example":         false,
		"evil-localhost":            false,
		"sub.localhost":             false,
		"localhoſt":                 false, // U+017F folds to s
		"127.1":                     false,
		"127.0.0.1.example":         false,
		"127.0.0.1:80":              false,
		"[::1]":                     false,
		"128.0.0.1":                 false,
		"126.255.255.255":           false,
		"0.0.0.0":                   false,
		"::":                        false,
		"::2":                       false,
		"10.0.0.1":                  false,
		"169.254.169.254":           false,
		"sandbox.pismolabs.io":      false,
		"0x7f.0.0.1":                false,
		"2130706433":                false,
		"127.000.000.001":           false,
		"127.0.0.1%eth0":            false,
		"127.0.0.1\n":               false,
		"127.0.0.1 ":                false,
		"::ffff:128.0.0.1":          false,
		"64:ff9b::7f00:1":           false,
		"localhost\x00.example.com": false,
	} {
		if got := loopback.Is(host); got != want {
			t.Errorf("Is(%q) = %t, want %t", host, got, want)
		}
	}
}

func TestIs_TakesTheHostnameOfAURL(t *testing.T) {
	u, err := url.Parse("http://[::1]:8080/")
	if err != nil {
		t.Fatal(err)
	}
	if !loopback.Is(u.Hostname()) {
		t.Errorf("Is(%q) = false, want true", u.Hostname())
	}
}
