// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

func init() {
	caddy.RegisterModule(LogEncoder{})
}

// LogEncoder is a log format that redacts accounts. It removes them from every
// text field, and another format then encodes the entry. The paths of Pismo's
// API contain accounts, and Caddy logs URIs in the access log, with each error,
// and at level DEBUG. Caddy also logs an account in a header, or in the id of a
// user. Use this format for every log, including the default log:
//
//	{
//		log {
//			format pismo
//		}
//	}
//
//	bank.example.com {
//		log {
//			format pismo
//		}
//	}
//
// The format changes fields in this way:
//
//   - In a path, segments that have a digit are replaced by `…`, except for
//     versions (`v1`); queries are replaced as a whole.
//   - Header fields keep their values if their names are known to be harmless,
//     as `User-Agent` and `Traceparent`; the rest is `REDACTED`.
//   - The id of the user and the name in a client certificate are `REDACTED`.
//   - In any other text, six digits in a row and more are replaced by `…`. Ids
//     of requests and traces that have a letter stay. Numbers stay.
type LogEncoder struct {
	// The format that encodes the redacted entry. Default: `json`, or `console` if
	// the output is a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	// More header fields that are not `REDACTED`. Six or more digits in a row are
	// still replaced by `…`.
	KeepHeaders []string `json:"keep_headers,omitempty"`

	*zapcore.MapObjectEncoder `json:"-"` // The fields that a logger adds to every entry.

	wrapped zapcore.Encoder
	redact  redactor
	ctx     caddy.Context
}

// CaddyModule returns the Caddy module information.
func (LogEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.pismo",
		New: func() caddy.Module { return &LogEncoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()} },
	}
}

// Provision sets up the format that encodes the redacted entry.
func (e *LogEncoder) Provision(ctx caddy.Context) error {
	e.ctx = ctx
	e.redact = newRedactor(e.KeepHeaders)
	if e.WrappedRaw == nil {
		return e.setWrapped(new(logging.JSONEncoder))
	}
	module, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("wrap: %w", err)
	}
	encoder, ok := module.(zapcore.Encoder)
	if !ok {
		return fmt.Errorf("wrap: %T is not a log format", module)
	}
	e.wrapped = encoder
	return nil
}

// setWrapped sets the format that encodes the redacted entry.
func (e *LogEncoder) setWrapped(encoder interface {
	zapcore.Encoder
	caddy.Provisioner
},
) error {
	e.wrapped = encoder
	return encoder.Provision(e.ctx)
}

// ConfigureDefaultFormat implements [caddy.ConfiguresFormatterDefault].
func (e *LogEncoder) ConfigureDefaultFormat(output caddy.WriterOpener) error {
	if wrapped, ok := e.wrapped.(caddy.ConfiguresFormatterDefault); ok {
		return wrapped.ConfigureDefaultFormat(output)
	}
	if _, byDefault := e.wrapped.(*logging.JSONEncoder); byDefault && len(e.WrappedRaw) == 0 &&
		caddy.IsWriterStandardStream(output) && term.IsTerminal(int(os.Stderr.Fd())) {
		return e.setWrapped(new(logging.ConsoleEncoder))
	}
	return nil
}

// Clone implements [zapcore.Encoder].
func (e *LogEncoder) Clone() zapcore.Encoder {
	clone := *e
	clone.MapObjectEncoder = zapcore.NewMapObjectEncoder()
	maps.Copy(clone.Fields, e.Fields)
	clone.wrapped = e.wrapped.Clone()
	return &clone
}

// EncodeEntry implements [zapcore.Encoder].
func (e *LogEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message = e.redact.text(entry.Message)
	redacted := make([]zapcore.Field, 0, len(e.Fields)+len(fields))
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		redacted = append(redacted, e.redact.field(name, e.Fields[name]))
	}
	for _, field := range fields {
		if field.Type == zapcore.NamespaceType {
			redacted = append(redacted, field)
			continue
		}
		values := zapcore.NewMapObjectEncoder()
		field.AddTo(values)
		for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
			redacted = append(redacted, e.redact.field(name, values.Fields[name]))
		}
	}
	return e.wrapped.EncodeEntry(entry, redacted)
}

// UnmarshalCaddyfile sets up the format from Caddyfile tokens. Syntax:
//
//	pismo {
//	    wrap         <format>
//	    keep_headers <fields...>
//	}
func (e *LogEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := noArguments(d); err != nil {
		return err
	}
	for d.NextBlock(0) {
		if err := e.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (e *LogEncoder) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "wrap":
		return e.unmarshalWrap(d)
	case "keep_headers":
		fields := d.RemainingArgs()
		if len(fields) == 0 {
			return d.ArgErr()
		}
		for _, field := range fields {
			e.KeepHeaders = append(e.KeepHeaders, http.CanonicalHeaderKey(field))
		}
		return nil
	default:
		return d.Errf("unrecognized option %s of the log format pismo", d.Val())
	}
}

func (e *LogEncoder) unmarshalWrap(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "caddy.logging.encoders."+name)
	if err != nil {
		return err
	}
	e.WrappedRaw = caddyconfig.JSONModuleObject(module, "format", name, nil)
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner                = (*LogEncoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*LogEncoder)(nil)
	_ caddyfile.Unmarshaler            = (*LogEncoder)(nil)
	_ zapcore.Encoder                  = (*LogEncoder)(nil)
)
