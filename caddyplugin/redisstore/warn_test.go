// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An operator learns of what keeps the store from working, or shows its
// password.
func TestStore_WarnsOperator(t *testing.T) {
	const unreadable, inTheClear = "a file of the token store cannot be read", "crosses the network in the clear"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		store Store
		want  []string
	}{
		"well":             {Store{Address: []string{"redis.internal:6379"}, PasswordFile: file, TLS: new(TLS)}, nil},
		"no password":      {Store{Address: []string{"redis.internal:6379"}}, nil},
		"on loopback":      {Store{Address: []string{"127.0.0.1:6379"}, PasswordFile: file}, nil},
		"by name":          {Store{Address: []string{"localhost:6379"}, PasswordFile: file}, nil},
		"in the clear":     {Store{Address: []string{"redis.internal:6379"}, PasswordFile: file}, []string{inTheClear}},
		"one of them":      {Store{Address: []string{"127.0.0.1:6379", "10.0.0.1:6379"}, PasswordFile: file}, []string{inTheClear}},
		"missing password": {Store{Address: []string{"[::1]:6379"}, PasswordFile: file + "x"}, []string{unreadable, "option=password_file"}},
		"missing user":     {Store{Address: []string{"[::1]:6379"}, UserFile: file + "x", PasswordFile: file}, []string{unreadable, "option=user_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			test.store.warn(slog.New(slog.NewTextHandler(&log, nil)))
			if len(test.want) == 0 && log.Len() > 0 || strings.Contains(log.String(), "hunter2") {
				t.Errorf("it warns: %s", log.String())
			}
			for _, want := range test.want {
				if !strings.Contains(log.String(), want) {
					t.Errorf("it warns %q, want %q", log.String(), want)
				}
			}
		})
	}
}
