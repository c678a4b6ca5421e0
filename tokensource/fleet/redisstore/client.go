// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// An ownClient is the client of a Store without Config.Client. It sends each
// script once: the client of a cluster would send a command again after most
// failures.
type ownClient struct{ redis.UniversalClient }

// Eval implements [redis.Scripter].
func (c *ownClient) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return c.once(ctx, "eval", script, keys, args)
}

// EvalSha implements [redis.Scripter].
func (c *ownClient) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	return c.once(ctx, "evalsha", hash, keys, args)
}

func (c *ownClient) once(ctx context.Context, command, script string, keys []string, args []any) *redis.Cmd {
	all := []any{command, script, len(keys)}
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	_ = c.Process(ctx, onceCmd{cmd}) // The command has the error.
	return cmd
}

// A onceCmd is a command that the client does not send again.
type onceCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (onceCmd) NoRetry() bool { return true }
