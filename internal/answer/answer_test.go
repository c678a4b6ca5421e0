// SPDX-License-Identifier: Apache-2.0

package answer_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/internal/answer"
)

const (
	limit = 1 << 10
	text  = `{"token":"häppy"}`
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func zlibbed(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func deflated(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// brotli is text in a meta-block that is not compressed (RFC 7932, section
// 9.2).
const brotli = "\x0b\x08\x80" + text + "\x03"

func TestDecode_Encodings(t *testing.T) {
	long := strings.Repeat("x", limit)
	for name, test := range map[string]struct {
		encodings []string // the Content-Encoding fields
		raw       string
		want      string
		complete  bool
	}{
		"plain":                     {nil, text, text, true},
		"empty":                     {nil, "", "", true},
		"empty, gzip named":         {[]string{"gzip"}, "", "", true},
		"empty, br named":           {[]string{"br"}, "", "", true},
		"byte order mark":           {nil, "\ufeff" + text, text, true},
		"two byte order marks":      {nil, "\ufeff\ufeff" + text, text, true},
		"only a byte order mark":    {nil, "\ufeff", "", true},
		"half a byte order mark":    {nil, "\xef\xbb", "\xef\xbb", true},
		"identity":                  {[]string{"identity"}, text, text, true},
		"gzip":                      {[]string{"gzip"}, gzipped(text), text, true},
		"x-gzip":                    {[]string{"x-gzip"}, gzipped(text), text, true},
		"in capitals, with spaces":  {[]string{" GZip\t"}, gzipped(text), text, true},
		"in quotes":                 {[]string{`"gzip"`}, gzipped(text), text, true},
		"with a parameter":          {[]string{"gzip;q=1"}, gzipped(text), text, true},
		"gzip around a mark":        {[]string{"gzip"}, gzipped("\ufeff" + text), text, true},
		"gzip of nothing":           {[]string{"gzip"}, gzipped(""), "", true},
		"two members":               {[]string{"gzip"}, gzipped(text[:5]) + gzipped(text[5:]), text, true},
		"an empty member":           {[]string{"gzip"}, gzipped("") + gzipped(text) + gzipped(""), text, true},
		"zlib":                      {[]string{"deflate"}, zlibbed(text), text, true},
		"deflate without a frame":   {[]string{"deflate"}, deflated(text), text, true},
		"deflate of nothing":        {[]string{"deflate"}, deflated(""), "", true},
		"gzip twice":                {[]string{"gzip, gzip"}, gzipped(gzipped(text)), text, true},
		"gzip twice, two fields":    {[]string{"gzip", "gzip"}, gzipped(gzipped(text)), text, true},
		"identity and gzip":         {[]string{"identity, gzip"}, gzipped(text), text, true},
		"deflate and gzip":          {[]string{"deflate, gzip"}, gzipped(zlibbed(text)), text, true},
		"bare deflate and gzip":     {[]string{"deflate", "gzip"}, gzipped(deflated(text)), text, true},
		"a list with gaps":          {[]string{", ,gzip,,"}, gzipped(text), text, true},
		"binary without encoding":   {nil, "\x00\x01\x02", "\x00\x01\x02", true},
		"UTF-16":                    {nil, "\xff\xfe{\x00}\x00", "\xff\xfe{\x00}\x00", true},
		"Latin-1":                   {nil, "n\xe3o", "n\xe3o", true},
		"as long as the limit":      {nil, long, long, true},
		"limit and a mark":          {nil, "\ufeff" + long, long, true},
		"limit and a mark, in gzip": {[]string{"gzip"}, gzipped("\ufeff" + long), long, true},
		"unpacked as long":          {[]string{"gzip"}, gzipped(long), long, true},
		"trailing line break":       {[]string{"gzip"}, gzipped(text) + "\r\n", text, true},
		"trailing zeros":            {[]string{"gzip"}, gzipped(text) + "\x00\x00\x00", text, true},
		"trailing bytes, zlib":      {[]string{"deflate"}, zlibbed(text) + "\n", text, true},
		"trailing bytes, deflate":   {[]string{"deflate"}, deflated(text) + "\n", text, true},
		"UTF-8 named":               {[]string{"UTF-8"}, text, text, true},
		"UTF-8 named, in gzip":      {[]string{"UTF-8"}, gzipped(text), text, true},
		"ISO-8859-1 named":          {[]string{"ISO-8859-1"}, "n\xe3o", "n\xe3o", true},
		"none named":                {[]string{"none"}, text, text, true},
		"a media type named":        {[]string{"application/json"}, text, text, true},
		"gzip named, plain":         {[]string{"gzip"}, text, text, true},
		"gzip named, mark, plain":   {[]string{"gzip"}, "\ufeff" + text, text, true},
		"gzip named twice, once in": {[]string{"gzip, gzip"}, gzipped(text), text, true},
		"gzip named once, twice in": {[]string{"gzip"}, gzipped(gzipped(text)), text, true},
		"gzip named, zlib":          {[]string{"gzip"}, zlibbed(text), text, true},
		"deflate named, plain":      {[]string{"deflate"}, text, text, true},
		"deflate named, x^":         {[]string{"deflate"}, "x^2", "x^2", true}, // A zlib stream begins in this way.
		"deflate named, gzip":       {[]string{"deflate"}, gzipped(text), text, true},
		"br named, plain":           {[]string{"br"}, text, text, true},
		"br named, gzip":            {[]string{"br"}, gzipped(text), text, true},
		"unknown, plain":            {[]string{"rot13"}, text, text, true},
		"gzip undeclared":           {nil, gzipped(text), text, true},
		"zlib undeclared":           {nil, zlibbed(text), text, true},
		"begins like zlib":          {nil, "x\x9c and no more", "x\x9c and no more", true},

		"br":                       {[]string{"br"}, brotli, "", false},
		"zstd":                     {[]string{"zstd"}, "\x28\xb5\x2f\xfd\x00", "", false},
		"compress":                 {[]string{"compress"}, "\x1f\x9d\x90", "", false},
		"unknown":                  {[]string{"rot13"}, "\x80\x81", "", false},
		"br inside of gzip":        {[]string{"br, gzip"}, gzipped(brotli), "", false},
		"gzip inside of br":        {[]string{"gzip, br"}, brotli, "", false},
		"gzip named, binary":       {[]string{"gzip"}, "\x80\x81", "", false},
		"longer than the limit":    {nil, long + "y", long, false},
		"longer, in gzip":          {[]string{"gzip"}, gzipped(long + "yyyy"), long, false},
		"longer, in two members":   {[]string{"gzip"}, gzipped(long) + gzipped("yyyy"), long, false},
		"longer, in zlib":          {[]string{"deflate"}, zlibbed(long + "yyyy"), long, false},
		"longer, in deflate":       {[]string{"deflate"}, deflated(long + "yyyy"), long, false},
		"only the magic":           {[]string{"gzip"}, "\x1f\x8b", "", false},
		"only the magic, no label": {nil, "\x1f\x8b", "", false},
		"without the checksum":     {[]string{"gzip"}, gzipped(text)[:len(gzipped(text))-8], text, false},
		"another checksum":         {[]string{"gzip"}, gzipped(text)[:len(gzipped(text))-8] + "checksum", text, false},
		"zlib, another checksum":   {[]string{"deflate"}, zlibbed(text)[:len(zlibbed(text))-4] + "sums", text, false},
		"half a second member":     {[]string{"gzip"}, gzipped(text) + "\x1f\x8b\x08", text, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, complete := answer.Decode(http.Header{"Content-Encoding": test.encodings}, []byte(test.raw), limit)
			if string(got) != test.want || complete != test.complete {
				t.Errorf("got %q, %v, want %q, %v", got, complete, test.want, test.complete)
			}
		})
	}
}

// A body that breaks off must not count as complete.
func TestDecode_Truncation(t *testing.T) {
	for coding, encoded := range map[string]string{
		"gzip": gzipped(text), "deflate": zlibbed(text), "x-deflate": deflated(text), "gzip, gzip": gzipped(gzipped(text)),
	} {
		for n := 2; n < len(encoded); n++ { // The first byte of zlib is the text "x".
			got, complete := answer.Decode(http.Header{"Content-Encoding": {coding}}, []byte(encoded[:n]), limit)
			if complete {
				t.Errorf("%s: %d bytes of %d count as complete: %q", coding, n, len(encoded), got)
			}
			if coding != "gzip, gzip" && !strings.HasPrefix(text, string(got)) {
				t.Errorf("%s: %d bytes of %d: got %q, want the beginning of the text", coding, n, len(encoded), got)
			}
		}
	}
}

// A decompression bomb takes no more memory than the limit allows.
func TestDecode_Bombs(t *testing.T) {
	bomb := gzipped(strings.Repeat("\x00", 10<<20))
	deep := text
	for range 10 {
		deep = gzipped(deep)
	}
	for name, raw := range map[string]string{
		"wide":         bomb,
		"twice":        gzipped(bomb),
		"undeclared":   bomb,
		"many members": strings.Repeat(gzipped("xxxxxxxx"), 1000),
		"deep":         deep,
	} {
		for _, encodings := range [][]string{nil, {"gzip"}, {strings.Repeat("gzip,", 1000)}} {
			got, complete := answer.Decode(http.Header{"Content-Encoding": encodings}, []byte(raw), limit)
			if complete || len(got) > limit {
				t.Errorf("%s: got %d bytes, complete is %v, want %d bytes at most, incomplete", name, len(got), complete, limit)
			}
		}
	}
}

func TestDecode_Limits(t *testing.T) {
	for _, n := range []int{-1, 0, 1} {
		got, complete := answer.Decode(nil, []byte("ab"), n)
		if len(got) != max(n, 0) || complete {
			t.Errorf("limit %d: got %q, complete is %v, want as many bytes, incomplete", n, got, complete)
		}
		if got, complete := answer.Decode(nil, nil, n); len(got) != 0 || !complete {
			t.Errorf("limit %d, no body: got %q, complete is %v, want nothing, complete", n, got, complete)
		}
	}
}

func TestUndeclared_Compression(t *testing.T) {
	for name, test := range map[string]struct {
		encodings []string
		raw       string
		want      bool
	}{
		"plain":                {nil, text, false},
		"binary":               {nil, "\x00\x80", false},
		"gzip":                 {[]string{"gzip"}, gzipped(text), false},
		"x-gzip":               {[]string{"X-Gzip"}, gzipped(text), false},
		"deflate":              {[]string{"deflate"}, zlibbed(text), false},
		"deflate, bare":        {[]string{"deflate"}, deflated(text), false},
		"in a list":            {[]string{"identity, gzip"}, gzipped(text), false},
		"twice":                {[]string{"gzip", "gzip"}, gzipped(gzipped(text)), false},
		"gzip named, plain":    {[]string{"gzip"}, text, false},
		"br":                   {[]string{"br"}, brotli, false},
		"no label":             {nil, gzipped(text), true},
		"no label, zlib":       {nil, zlibbed(text), true},
		"no label, cut":        {nil, gzipped(text)[:20], true},
		"UTF-8":                {[]string{"utf-8"}, gzipped(text), true},
		"another encoding":     {[]string{"deflate"}, gzipped(text), true},
		"named once, twice in": {[]string{"gzip"}, gzipped(gzipped(text)), true},
	} {
		if got := answer.Undeclared(http.Header{"Content-Encoding": test.encodings}, []byte(test.raw), limit); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range []string{"", text, "\ufeff" + text, gzipped(text), zlibbed(text), deflated(text), gzipped(gzipped(text)), brotli} {
		for _, encoding := range []string{"", "gzip", "deflate", "br", "gzip, gzip", "identity", "UTF-8"} {
			f.Add(encoding, []byte(raw), limit)
		}
	}
	f.Fuzz(func(t *testing.T, encoding string, raw []byte, limit int) {
		limit %= 1 << 16
		h := http.Header{"Content-Encoding": {encoding}}
		before := bytes.Clone(raw)
		got, complete := answer.Decode(h, raw, limit)
		if len(got) > max(limit, 0) {
			t.Errorf("got %d bytes, want %d at most", len(got), limit)
		}
		if !bytes.Equal(raw, before) {
			t.Error("the body was changed")
		}
		if len(got) == 0 && !complete && len(raw) == 0 {
			t.Error("an empty body is not complete")
		}
		answer.Undeclared(h, raw, limit)
		// A compressed body is decoded to the same text as an uncompressed one.
		want, whole := answer.Decode(nil, raw, 1<<20)
		for named, packed := range map[string]string{"gzip": gzipped(string(raw)), "deflate": zlibbed(string(raw))} {
			got, complete := answer.Decode(http.Header{"Content-Encoding": {named}}, []byte(packed), 1<<20)
			if whole && len(raw) > 0 && (!bytes.Equal(got, want) || !complete) && bytes.Equal(want, bytes.TrimPrefix(raw, []byte("\ufeff"))) {
				t.Errorf("%s: got %q, %v, want %q", named, got, complete, want)
			}
		}
	})
}
