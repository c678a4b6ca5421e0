// SPDX-License-Identifier: Apache-2.0

//go:build unix

package passport_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A change during a read makes the read start again. The key file is a named
// pipe here, so that the change falls between the reads of the two files.
func TestClientCertificate_ChangesWhileRead(t *testing.T) {
	dir := t.TempDir()
	files := pairOnDisk{filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")}
	cert, key := newPair(t, 1)
	replace(t, files.certFile, cert)
	if err := syscall.Mkfifo(files.keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	// feed writes the key into the pipe when a reader opens the pipe.
	feed := func(before func()) <-chan error {
		done := make(chan error, 1)
		go func() {
			pipe, err := os.OpenFile(files.keyFile, os.O_WRONLY, 0)
			if err == nil {
				before()
				_, err = pipe.Write(key)
				_ = pipe.Close()
			}
			done <- err
		}()
		return done
	}
	fed := feed(func() { replace(t, files.certFile, renewed(t, key, 2)) })
	c := newClientCertificate(t, files)
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	fed = feed(func() { replace(t, files.certFile, renewed(t, key, 3)) })
	if got := presented(t, c); got != 2 {
		t.Fatalf("certificate %d, want 2", got)
	}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	fed = feed(func() {})
	if got := presented(t, c); got != 3 {
		t.Fatalf("certificate %d, want 3", got)
	}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
}
