// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

const (
	// roundTimeout bounds a round of requests. A replica that takes longer is
	// killed.
	roundTimeout = requestTimeout + 10*time.Second
	// stopTimeout bounds the end of a replica.
	stopTimeout = 5 * time.Second
)

// A process is a replica as its parent sees it.
type process struct {
	name     string
	command  *exec.Cmd
	input    io.WriteCloser
	commands *json.Encoder
	results  *json.Decoder
}

// startReplica starts the program again as a replica. The replica ends with
// ctx, and with this process.
func startReplica(ctx context.Context, config replicaConfig) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, program) //nolint:gosec // It is this program.
	command.Env = append(os.Environ(), replicaVar+"=1")
	command.Stderr = os.Stderr
	command.WaitDelay = stopTimeout
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{config.Name, command, input, json.NewEncoder(input), json.NewDecoder(output)}
	// The secret of the fake is in the input, because others can read the
	// arguments of a process.
	if err := p.commands.Encode(config); err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return p, nil
}

// round makes the replica send requests for accounts.
func (p *process) round(accounts []string) (result roundResult, err error) {
	watchdog := time.AfterFunc(roundTimeout, func() { _ = p.command.Process.Kill() })
	defer watchdog.Stop()
	if err = p.commands.Encode(accounts); err == nil {
		err = p.results.Decode(&result)
	}
	if err != nil {
		return roundResult{}, fmt.Errorf("%s has ended: %w", p.name, err)
	}
	return result, nil
}

// kill ends the replica as a crash does.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.input.Close()
	_ = p.command.Wait()
}

// stop ends the replica by the end of its input.
func (p *process) stop() {
	watchdog := time.AfterFunc(stopTimeout, func() { _ = p.command.Process.Kill() })
	defer watchdog.Stop()
	_ = p.input.Close()
	_ = p.command.Wait()
}
