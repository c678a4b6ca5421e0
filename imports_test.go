// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/pismoauth/pismoauth/"

// allowed lists the packages of this module, and the packages that each may
// import besides the standard library. Paths of this module are relative to it.
// A pattern that ends in a slash includes all packages below. Tests may import
// any package. The test does not check the other modules of this repository.
var allowed = map[string][]string{
	".":                           {},
	"tokensource":                 {"internal/", "github.com/golang-jwt/jwt/v5", "golang.org/x/oauth2"},
	"tokensource/passport":        {"internal/", "tokensource"},
	"tokensource/passporttest":    {"internal/", "tokensource", "tokensource/passport", "github.com/golang-jwt/jwt/v5"},
	"tokensource/fleet":           {"internal/", "tokensource"},
	"tokensource/fleet/fleettest": {"internal/", "tokensource/fleet"},
	"transport":                   {"internal/", "tokensource", "github.com/hashicorp/go-retryablehttp"},
	"middleware":                  {"internal/", "tokensource", "transport", "github.com/golang-jwt/jwt/v5"},
	"telemetry":                   {"internal/", "tokensource", "tokensource/fleet", "transport", "go.opentelemetry.io/"},
	"examples/client":             {"examples/internal/", "tokensource", "tokensource/passporttest", "transport"},
	"examples/fakeserver":         {"examples/internal/", "tokensource/passporttest"},
	"examples/openid":             {"examples/internal/", "tokensource", "tokensource/passport", "tokensource/passporttest", "transport"},
	"examples/proxy":              {"examples/internal/", "middleware", "telemetry", "tokensource", "tokensource/passporttest", "transport", "github.com/golang-jwt/jwt/v5"},
	"examples/internal/cli":       {},
	"examples/internal/platform":  {"tokensource", "tokensource/passport", "tokensource/passporttest"},
	"internal/answer":             {},
	"internal/backoff":            {},
	"internal/base":               {},
	"internal/hooks":              {},
	"internal/loopback":           {},
	"internal/lru":                {},
	"internal/leaktest":           {},
	"internal/recurring":          {},
	"internal/requesttarget":      {},
	"internal/trailer":            {},
}

// reserved lists packages of the standard library that only some packages may
// import. For example, expvar and net/http/pprof change http.DefaultServeMux.
var reserved = map[string][]string{
	"testing":           {"tokensource/passporttest", "tokensource/fleet/fleettest", "internal/leaktest"},
	"net/http/httptest": {"tokensource/passporttest", "examples/proxy"},
	"net/http/httputil": {"middleware"},
	"expvar":            {},
	"net/http/pprof":    {},
	"unsafe":            {},
	"C":                 {},
	"log":               {"middleware", "examples/client"}, // for httputil.ReverseProxy; to end a program
	"os/exec":           {},
}

func TestImports_FollowRules(t *testing.T) {
	for _, offence := range violations(t, os.DirFS(".")) {
		t.Error(offence)
	}
}

func TestImports_ViolationIsFound(t *testing.T) {
	for _, test := range []struct{ file, source string }{
		{"tokensource/x.go", `import "` + module + `transport"`},
		{"tokensource/x.go", `import "` + module + `tokensource/passport"`},
		{"tokensource/x.go", `import _ "go.opentelemetry.io/otel"`},
		{"tokensource/x.go", `import "net/http/httputil"`},
		{"tokensource/x.go", "import web \"net/http\"\nvar x web.Client"},
		{"tokensource/passport/x.go", `import "` + module + `tokensource/passporttest"`},
		{"transport/x.go", `import "` + module + `tokensource/passport"`},
		{"transport/x.go", `import "` + module + `middleware"`},
		{"transport/x.go", `import "go.opentelemetry.io/otel/trace"`},
		{"transport/x.go", `import "testing"`},
		{"transport/x.go", "//go:build windows\n\npackage x; import \"go.opentelemetry.io/otel/trace\""},
		{"transport/x.go", `import "golang.org/x/oauth2"`},
		{"middleware/x.go", `import "` + module + `telemetry"`},
		{"internal/lru/x.go", `import "` + module + `tokensource"`},
		{"telemetry/x.go", `import "` + module + `middleware"`},
		{"x.go", `import "` + module + `tokensource"`},
		{"another/x.go", ``},
	} {
		source := test.source
		if !strings.Contains(source, "package") {
			source = "package x\n" + source
		}
		if found := violations(t, fstest.MapFS{test.file: {Data: []byte(source)}}); len(found) != 1 {
			t.Errorf("%s with %s: found %q, want one offence", test.file, test.source, found)
		}
	}
	fine := fstest.MapFS{
		"telemetry/x.go":        {Data: []byte("package x\nimport _ \"go.opentelemetry.io/otel/trace\"\nimport _ \"" + module + "transport\"")},
		"tokensource/x.go":      {Data: []byte("package x\nimport \"net/http\"\nvar x http.Header")},
		"tokensource/x_test.go": {Data: []byte("package x\nimport _ \"" + module + "transport\"")},
		"caddyplugin/go.mod":    {},
		"caddyplugin/x.go":      {Data: []byte("package x\nimport _ \"" + module + "telemetry\"")},
		".ci/x.go":              {Data: []byte("no package at all")},
	}
	if found := violations(t, fine); len(found) > 0 {
		t.Errorf("found %q, want no offence", found)
	}
}

// violations returns the faulty imports in a tree.
func violations(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			_, err := fs.Stat(tree, name+"/go.mod")
			if name != "." && (err == nil || strings.ContainsAny(path.Base(name)[:1], "._") || path.Base(name) == "testdata") {
				return fs.SkipDir
			}
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			source, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
			if err != nil {
				return err
			}
			found = append(found, violationsIn(name, file)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func violationsIn(name string, file *ast.File) []string {
	pkg := path.Dir(name)
	may, known := allowed[pkg]
	if !known {
		return []string{fmt.Sprintf("%s: say in this test what the package %s may import", name, pkg)}
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{fmt.Sprintf("%s: %v", name, err)}
		}
		first, _, _ := strings.Cut(imported, "/")
		if who, ok := reserved[imported]; ok && !slices.Contains(who, pkg) ||
			!ok && strings.Contains(first, ".") && !matches(may, strings.TrimPrefix(imported, module)) {
			found = append(found, fmt.Sprintf("%s imports %s", name, imported))
		}
		if imported == "net/http" && pkg == "tokensource" {
			found = append(found, moreThanHeader(name, file, spec)...)
		}
	}
	return found
}

func matches(patterns []string, imported string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return pattern == imported || strings.HasSuffix(pattern, "/") && strings.HasPrefix(imported, pattern)
	})
}

// moreThanHeader returns the names other than http.Header that a file uses of
// net/http. A Source knows the field of the token, and no other part of HTTP.
func moreThanHeader(name string, file *ast.File, spec *ast.ImportSpec) []string {
	local := "http"
	if spec.Name != nil {
		local = spec.Name.Name
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == local && selector.Sel.Name != "Header" {
				found = append(found, fmt.Sprintf("%s uses http.%s", name, selector.Sel.Name))
			}
		}
		return true
	})
	return found
}
