// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// firstInexactInteger is the first integer from which a float64 cannot
// represent every integer.
const firstInexactInteger = 1 << 53

// refuseRounded refuses ids that have lost digits. Caddy keeps a number without
// quotes in a Caddyfile as a float64. This can change the last digits of an id
// with more than 15 digits, and the id then names another account. The
// directive map turns numbers into text, so a request does not show the loss.
// The configuration does.
func (a *accountRule) refuseRounded(ctx caddy.Context) {
	modules := ctx.Modules()
	i := slices.IndexFunc(modules, func(module caddy.Module) bool {
		_, ok := module.(*caddyhttp.App)
		return ok
	})
	if i < 0 || a.placeholder == "" {
		return
	}
	// Collect at the first request that needs it: all handlers are then
	// provisioned.
	numbers := sync.OnceValue(func() map[string]bool {
		found := largeNumbers{texts: map[string]bool{}, seen: map[seenPointer]bool{}}
		found.add(reflect.ValueOf(modules[i]))
		return found.texts
	})
	a.isRounded = func(id string) bool { return len(id) > 15 && numbers()[id] }
}

// largeNumbers are the numbers of a configuration that may have lost digits, in
// the form that Caddy writes.
type largeNumbers struct {
	texts map[string]bool
	seen  map[seenPointer]bool
}

type seenPointer struct {
	typ     reflect.Type
	pointer unsafe.Pointer
}

// caddyModulePath is the prefix of the paths of Caddy's own packages. The
// exported fields of other modules may change while they are read.
const caddyModulePath = "github.com/caddyserver/caddy/v2"

// add adds the numbers in the exported fields of Caddy's own modules.
func (n *largeNumbers) add(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		n.add(v.Elem())
	case reflect.Float64:
		n.addFloat(v.Float())
	case reflect.Pointer:
		if key := (seenPointer{v.Type(), v.UnsafePointer()}); !v.IsNil() && !n.seen[key] {
			n.seen[key] = true
			n.add(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() != reflect.Uint8 { // A byte slice is text, not numbers.
			for _, element := range v.Seq2() {
				n.add(element)
			}
		}
	case reflect.Map:
		for _, value := range v.Seq2() {
			n.add(value)
		}
	case reflect.Struct:
		n.addFields(v)
	}
}

func (n *largeNumbers) addFloat(number float64) {
	if number >= firstInexactInteger {
		n.texts[strconv.FormatFloat(number, 'f', -1, 64)] = true
	}
}

// addFields adds the numbers in the exported fields of a struct of Caddy.
func (n *largeNumbers) addFields(v reflect.Value) {
	if !strings.HasPrefix(v.Type().PkgPath(), caddyModulePath) {
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			n.add(v.Field(i))
		}
	}
}
