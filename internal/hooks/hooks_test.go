// SPDX-License-Identifier: Apache-2.0

package hooks_test

import (
	"context"
	"slices"
	"testing"

	"github.com/pismoauth/pismoauth/internal/hooks"
)

type nameKey struct{}

// newHook returns a hook that records its calls, and the name that the previous
// hook stored in the context.
func newHook(calls *[]string, name string) hooks.Hook[string, string] {
	return func(ctx context.Context, info string) (context.Context, func(string)) {
		before, _ := ctx.Value(nameKey{}).(string)
		*calls = append(*calls, name+" "+info+" after "+before)
		return context.WithValue(ctx, nameKey{}, name), func(result string) {
			*calls = append(*calls, name+" "+result)
		}
	}
}

func TestJoin_CallsInNestedOrder(t *testing.T) {
	var calls []string
	joined := hooks.Join(newHook(&calls, "a"), newHook(&calls, "b"))
	ctx, done := joined(t.Context(), "begins")
	done("ends")
	if want := []string{"a begins after ", "b begins after a", "b ends", "a ends"}; !slices.Equal(calls, want) {
		t.Errorf("calls are %q, want %q", calls, want)
	}
	if ctx.Value(nameKey{}) != "b" {
		t.Errorf("the context carries %v, want b", ctx.Value(nameKey{}))
	}
}

func TestJoin_NilHookIsLeftOut(t *testing.T) {
	var calls []string
	if joined := hooks.Join[string, string](nil, nil); joined != nil {
		t.Error("Join of two nil hooks is not nil")
	}
	hook := newHook(&calls, "a")
	for _, joined := range []hooks.Hook[string, string]{hooks.Join(hook, nil), hooks.Join(nil, hook)} {
		calls = nil
		_, done := joined(t.Context(), "begins")
		done("ends")
		if want := []string{"a begins after ", "a ends"}; !slices.Equal(calls, want) {
			t.Errorf("calls are %q, want %q", calls, want)
		}
	}
}

// A hook without interest in the end returns a nil function.
func TestJoin_NilFuncIsLeftOut(t *testing.T) {
	var calls []string
	silent := func(ctx context.Context, _ string) (context.Context, func(string)) { return ctx, nil }
	if _, done := hooks.Join(silent, silent)(t.Context(), "begins"); done != nil {
		t.Error("JoinFuncs of two nil functions is not nil")
	}
	for _, joined := range []hooks.Hook[string, string]{
		hooks.Join(silent, newHook(&calls, "a")), hooks.Join(newHook(&calls, "a"), silent),
	} {
		calls = nil
		_, done := joined(t.Context(), "begins")
		done("ends")
		if want := []string{"a begins after ", "a ends"}; !slices.Equal(calls, want) {
			t.Errorf("calls are %q, want %q", calls, want)
		}
	}
}
