// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
)

// A reader who searches the page for a text must find it. The page must not
// have texts that the code no longer has.
func TestTroubleshooting_NamesEverything(t *testing.T) {
	page := readFile(t, "docs/troubleshooting.md")
	var problems []string
	for _, p := range middleware.Problems() {
		_, name, _ := strings.Cut(p.Type, "#")
		problems = append(problems, "#"+name)
	}
	var alerts []string
	for _, found := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, "examples/dashboard/alerts.yml"), -1) {
		alerts = append(alerts, found[1])
	}
	for heading, inCode := range map[string][]string{
		"Kinds":                      constantsOf(t, "tokensource", "ErrorKind"),
		"Requests that are not sent": constantsOf(t, "transport", "UnsentError"),
		"Texts":                      errorTexts(t, "tokensource", "tokensource/passport", "transport", "middleware"),
		"The network":                networkReasons(t),
		"Problems":                   problems,
		"Log lines":                  logMessages(t, "telemetry", "middleware", "caddyplugin", "caddyplugin/internal/observe", "caddyplugin/redisstore"),
		"Alerts":                     alerts,
	} {
		_, section, _ := strings.Cut(page, "\n## "+heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		var shown []string
		for _, row := range regexp.MustCompile("(?m)^\\| \\[?`([^`]+)`").FindAllStringSubmatch(section, -1) {
			shown = append(shown, row[1])
		}
		slices.Sort(shown)
		if len(inCode) < 5 {
			t.Errorf("%s: found %q in the code", heading, inCode)
		}
		for _, text := range inCode {
			if !slices.Contains(shown, text) {
				t.Errorf("docs/troubleshooting.md, %s: there is no row for `%s`", heading, text)
			}
		}
		for i, text := range shown {
			if !slices.Contains(inCode, text) {
				t.Errorf("docs/troubleshooting.md, %s: the code does not have `%s`", heading, text)
			}
			if i > 0 && shown[i-1] == text {
				t.Errorf("docs/troubleshooting.md, %s: there are two rows for `%s`", heading, text)
			}
		}
	}
}

// parsed returns the files of a package without its tests.
func parsed(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// A texts is a set of texts. The part of a text that says what to do is left
// out.
type texts map[string]bool

// add adds the text of a literal up to a semicolon.
func (s texts) add(e ast.Expr) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return
	}
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "pismoauth: "), ";")
	s[text] = true
}

func (s texts) sorted() []string { return slices.Sorted(maps.Keys(s)) }

// constantsOf returns the constants of a type.
func constantsOf(t *testing.T, dir, typ string) []string {
	t.Helper()
	all := texts{}
	for _, file := range parsed(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typ && len(spec.Values) == 1 {
					all.add(spec.Values[0])
				}
			}
			return true
		})
	}
	return all.sorted()
}

// errorTexts returns the texts of a package's error variables, and the error
// texts in a map by condition.
func errorTexts(t *testing.T, dirs ...string) []string {
	t.Helper()
	all := texts{}
	for _, dir := range dirs {
		for _, file := range parsed(t, dir) {
			for _, d := range file.Decls {
				if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.VAR {
					all.addErrors(d)
				}
			}
		}
	}
	return all.sorted()
}

func (s texts) addErrors(d *ast.GenDecl) {
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if slices.Contains([]string{"New", "SafeError", "Errorf"}, calledName(n)) {
				s.add(n.Args[0])
			}
		case *ast.CompositeLit:
			if m, ok := n.Type.(*ast.MapType); ok {
				if key, ok := m.Key.(*ast.Ident); ok && key.Name == "condition" {
					for _, e := range n.Elts {
						s.add(e.(*ast.KeyValueExpr).Value)
					}
				}
			}
		}
		return true
	})
}

// networkReasons returns the explanations of network failures: the first
// literal that each function of the reasons returns, without details.
func networkReasons(t *testing.T) []string {
	t.Helper()
	all := texts{}
	for _, file := range parsed(t, "tokensource/passport") {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasSuffix(f.Name.Name, "Reason") {
				ast.Inspect(f, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok {
						all.add(firstLiteral(r.Results[0]))
					}
					return true
				})
			}
		}
	}
	details := regexp.MustCompile(`(:| \(|, | from %s).*`)
	short := texts{}
	for text := range all {
		short[strings.TrimSpace(details.ReplaceAllString(text, ""))] = true
	}
	delete(short, "")
	return short.sorted()
}

// firstLiteral returns the literal at the beginning of a concatenation or a
// format.
func firstLiteral(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return firstLiteral(e.X)
	case *ast.CallExpr:
		if len(e.Args) > 0 {
			return firstLiteral(e.Args[0])
		}
	}
	return e
}

// calledName returns the name of the function that is called.
func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

// logMessages returns the messages of the log lines of packages: literals that
// are passed to a logger, assigned to message, set as the constant advice, or
// returned by a function whose result is named message.
func logMessages(t *testing.T, dirs ...string) []string {
	t.Helper()
	all := texts{}
	for _, dir := range dirs {
		for _, file := range parsed(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				all.addMessages(n)
				return true
			})
		}
	}
	return all.sorted()
}

func (s texts) addMessages(n ast.Node) {
	switch n := n.(type) {
	case *ast.CallExpr:
		message := map[string]int{"LogAttrs": 2, "log": 2, "Debug": 0, "Info": 0, "Warn": 0, "Error": 0}
		if i, ok := message[calledName(n)]; ok && len(n.Args) > i {
			s.add(n.Args[i])
		}
	case *ast.AssignStmt:
		for i, e := range n.Lhs {
			if name, ok := e.(*ast.Ident); ok && name.Name == "message" && len(n.Rhs) == len(n.Lhs) {
				s.add(n.Rhs[i])
			}
		}
	case *ast.ValueSpec:
		if n.Names[0].Name == "advice" && len(n.Values) == 1 {
			s.add(n.Values[0])
		}
	case *ast.FuncDecl:
		if i := resultNamed(n, "message"); i >= 0 {
			ast.Inspect(n, func(n ast.Node) bool {
				if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > i {
					s.add(r.Results[i])
				}
				return true
			})
		}
	}
	delete(s, "")
}

// resultNamed returns the position of a result of a function, or -1.
func resultNamed(f *ast.FuncDecl, name string) int {
	if f.Type.Results == nil {
		return -1
	}
	return slices.IndexFunc(f.Type.Results.List, func(field *ast.Field) bool {
		return len(field.Names) == 1 && field.Names[0].Name == name
	})
}
