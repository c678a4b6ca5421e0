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

// A role is what a process of this program can be, other than the one that
// measures. It is told of in the environment, so that the binary of a test can
// play it too.
const (
	roleVariable = "PROXYLOAD_ROLE"
	roleFake     = "fake"
	roleProxy    = "proxy"
	roleLoad     = "load"
)

// A line is how the processes talk: the measuring one asks on the other's
// standard input, and is answered on its standard output, in JSON. It ends with
// the asking process, however that ends, and the other ends with the line:
// nothing that listens is left behind.
type line struct {
	*json.Decoder
	*json.Encoder
}

// play plays a role until the line ends.
func play(name string, in io.Reader, out io.Writer) error {
	l := line{json.NewDecoder(in), json.NewEncoder(out)}
	roles := map[string]func(line) error{roleFake: playDouble, roleProxy: playProxy, roleLoad: playLoad}
	part, ok := roles[name]
	if !ok {
		return fmt.Errorf("there is no role %q", name)
	}
	if err := part(l); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// A child is a process of this program in a role.
type child struct {
	cmd  *exec.Cmd
	in   io.Closer
	line line
}

// spawn starts a child. When ctx is done its line ends, and it is killed if it
// does not end too: a child may have a process of its own to stop.
func spawn(ctx context.Context, role string) (*child, error) {
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
	return &child{cmd, in, line{json.NewDecoder(out), json.NewEncoder(in)}}, nil
}

// ask asks, and waits for the answer.
func (c *child) ask(question, answer any) error {
	if err := c.line.Encode(question); err != nil {
		return err
	}
	return c.line.Decode(answer)
}

// stop ends the line, and waits until the child has ended too.
func (c *child) stop() error {
	_ = c.in.Close() // What it has to say, Wait says.
	return c.cmd.Wait()
}
