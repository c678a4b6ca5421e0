// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// A role is the task of a child process. The environment names the role, so
// that the binary of a test can have it too.
const (
	roleVariable = "PROXYLOAD_ROLE"
	roleFake     = "fake"
	roleProxy    = "proxy"
	roleLoad     = "load"
)

// messages is the connection to a child process. The parent writes questions in
// JSON to the child's standard input, and reads answers from its standard
// output. The connection ends when the parent ends, and the child ends with the
// connection. So no child is left listening.
type messages struct {
	*json.Decoder
	*json.Encoder
}

// runRole runs a role until the connection ends.
func runRole(name string, in io.Reader, out io.Writer) error {
	l := messages{json.NewDecoder(in), json.NewEncoder(out)}
	roles := map[string]func(messages) error{roleFake: runFakeServer, roleProxy: runProxy, roleLoad: runLoadGenerator}
	part, ok := roles[name]
	if !ok {
		return fmt.Errorf("unknown role %q", name)
	}
	if err := part(l); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// A child is a child process with a role.
type child struct {
	cmd      *exec.Cmd
	in       io.Closer
	messages messages
}

// startChild starts a child. When ctx is done, it closes the connection, so
// that the child can stop its own processes. It kills a child that does not
// end.
func startChild(ctx context.Context, role string) (*child, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = in.Close
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, messages{json.NewDecoder(out), json.NewEncoder(in)}}, nil
}

// ask sends a question, and waits for the answer.
func (c *child) ask(question, answer any) error {
	if err := c.messages.Encode(question); err != nil {
		return err
	}
	return c.messages.Decode(answer)
}

// stop closes the connection, and waits until the child has ended.
func (c *child) stop() error {
	_ = c.in.Close() // Wait returns the error.
	return c.cmd.Wait()
}
