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

// firstInexactInteger is where integers begin that a float64 cannot tell from
// their neighbours.
const firstInexactInteger = 1 << 53

// refuseRounded refuses ids that have lost digits. What a Caddyfile has without
// quotes is a number, which Caddy keeps as a float64: of an id with more than
// 15 digits that changes the last ones, and names another account. The
// directive map turns numbers into text, so that a request does not show what
// an id has been through; the configuration does.
func (a *accountRule) refuseRounded(ctx caddy.Context) {
	modules := ctx.Modules()
	i := slices.IndexFunc(modules, func(module caddy.Module) bool {
		_, ok := module.(*caddyhttp.App)
		return ok
	})
	if i < 0 || a.placeholder == "" {
		return
	}
	// At the first request that needs it, when all handlers are there.
	numbers := sync.OnceValue(func() map[string]bool {
		found := largeNumbers{texts: map[string]bool{}, seen: map[seenPointer]bool{}}
		found.add(reflect.ValueOf(modules[i]))
		return found.texts
	})
	a.isRounded = func(id string) bool { return len(id) > 15 && numbers()[id] }
}

// largeNumbers are the numbers of a configuration that may have lost digits, as
// Caddy writes them.
type largeNumbers struct {
	texts map[string]bool
	seen  map[seenPointer]bool
}

type seenPointer struct {
	typ     reflect.Type
	pointer unsafe.Pointer
}

// caddyModulePath begins the paths of Caddy's own packages. What others keep in
// exported fields may change while it is read.
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
		if v.Type().Elem().Kind() != reflect.Uint8 { // Text has none.
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

// addFields adds the numbers in the exported fields of a struct of Caddy's.
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
