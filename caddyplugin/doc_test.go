// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packageDoc returns the documentation of the package.
func packageDoc(t *testing.T) *doc.Package {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	pkg, err := doc.NewFromFiles(files, parsed, "github.com/pismoauth/pismoauth/caddyplugin", doc.AllDecls|doc.PreserveAST)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// Caddy's documentation site shows the comments of the modules.
func TestDocs_CaddyfilesAdapt(t *testing.T) {
	docs := map[string]string{}
	for _, typ := range packageDoc(t).Types {
		docs[typ.Name] = typ.Doc
	}
	global, _, found := strings.Cut(indented(docs["App"]), "\n\n")
	if !found {
		t.Fatal("the documentation of App has no Caddyfile")
	}
	for module, directive := range map[string]string{"App": "pismo_proxy", "Auth": "pismo_auth", "Transport": "transport pismo"} {
		caddyfile := indented(docs[module])
		if module != "App" {
			caddyfile = global + "\nexample.com {\nmap {http.auth.user.id} {account} {\nalice \"102681871\"\n}\nroute {\n" + caddyfile + "}\n}\n"
		}
		if !strings.Contains(caddyfile, directive) {
			t.Errorf("the documentation of %s does not show %s", module, directive)
		}
		if _, err := adapt(caddyfile); err != nil {
			t.Errorf("%s: %v in\n%s", module, err, caddyfile)
		}
	}
	if !strings.Contains(docs["Auth"], "pismo_proxy") || !strings.Contains(docs["Transport"], "pismo_proxy") {
		t.Error("no module refers to pismo_proxy")
	}
}

// indented returns the code in a comment.
func indented(comment string) string {
	var code []string
	for line := range strings.Lines(comment) {
		if text, ok := strings.CutPrefix(line, "\t"); ok || len(code) > 0 && strings.TrimSpace(line) == "" {
			code = append(code, text)
		}
	}
	return strings.Join(code, "")
}

var spaces = regexp.MustCompile(`[ \t]+`)

// The package's documentation has the grammar from the parsers' comments.
func TestDocs_GrammarIsTheParsers(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := spaces.ReplaceAllString(string(text), " ")
	pkg := packageDoc(t)
	comments := []string{}
	for _, f := range pkg.Funcs {
		comments = append(comments, f.Doc)
	}
	for _, typ := range pkg.Types {
		for _, f := range append(typ.Funcs, typ.Methods...) {
			comments = append(comments, f.Doc)
		}
	}
	compared := 0
	for _, comment := range comments {
		_, grammar, found := strings.Cut(comment, "Syntax:\n")
		if !found {
			continue
		}
		compared++
		for line := range strings.Lines(indented(grammar)) {
			if line = spaces.ReplaceAllString(strings.TrimSpace(line), " "); line != "" && !strings.Contains(shown, " "+line+"\n") {
				t.Errorf("doc.go does not have %q", line)
			}
		}
	}
	if compared != 5 {
		t.Errorf("found %d grammars, want those of App, Auth, Transport, pismo_proxy and the log format", compared)
	}
}
