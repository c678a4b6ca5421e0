// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

const (
	maxTestName     = 45  // letters in the name of a test
	maxCommentWidth = 80  // columns, with a tab as one
	maxFileLines    = 300 // lines of a Go file, without the licence
)

// A licence may begin a file.
const licence = "// SPDX-License-Identifier: Apache-2.0\n\n"

// testName matches TestSubject_Behaviour.
var testName = regexp.MustCompile(`^Test[A-Z][A-Za-z0-9]*_[A-Z0-9][A-Za-z0-9]*$`)

// longFiles are the Go files that may exceed maxFileLines, with the reasons.
var longFiles = map[string]string{
	"examples/integrations/clients_test.go": "the recipes of one page",
	"examples/integrations/routers_test.go": "the recipes of one page",
}

func TestStyle_HoldsInEveryModule(t *testing.T) {
	for _, fault := range styleFaults(t, os.DirFS(".")) {
		t.Error(fault)
	}
}

func TestStyle_FindsFaults(t *testing.T) {
	long := "// " + strings.Repeat("x", maxCommentWidth)
	for name, source := range map[string]string{
		"no subject":        "package x\nfunc TestItWorks(t *testing.T) {}",
		"two underscores":   "package x\nfunc TestA_B_C(t *testing.T) {}",
		"a long name":       "package x\nfunc TestA_B" + strings.Repeat("b", maxTestName) + "(t *testing.T) {}",
		"a wide comment":    "package x\n\n" + long + "\nvar a int",
		"a wide comment at": "package x\n\nfunc f() {\n\t" + long + "\n}",
		"a long file":       "package x\n" + strings.Repeat("\n", maxFileLines),
	} {
		t.Run(name, func(t *testing.T) {
			if faults := styleFaults(t, fstest.MapFS{"x_test.go": {Data: []byte(source)}}); len(faults) != 1 {
				t.Errorf("got %q, want one fault", faults)
			}
		})
	}
}

// styleFaults returns the faults of the Go files below root. It skips generated
// files.
func styleFaults(t *testing.T, root fs.FS) (faults []string) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(file) {
			faults = append(faults, fileFaults(files, file, name, string(source))...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

func fileFaults(files *token.FileSet, file *ast.File, name, source string) (faults []string) {
	fault := func(at token.Pos, format string, args ...any) {
		position := files.Position(at)
		faults = append(faults, fmt.Sprintf("%s:%d: ", name, position.Line)+fmt.Sprintf(format, args...))
	}
	if lines := strings.Count(strings.TrimPrefix(source, licence), "\n"); lines > maxFileLines && longFiles[name] == "" {
		fault(file.Package, "the file has %d lines, more than %d; split it, or name the reason in longFiles", lines, maxFileLines)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" || !strings.HasSuffix(name, "_test.go") {
			continue
		}
		if !testName.MatchString(f.Name.Name) {
			fault(f.Pos(), "the name %s does not have the form TestSubject_Behaviour", f.Name.Name)
		}
		if len(f.Name.Name) > maxTestName {
			fault(f.Pos(), "the name %s has %d letters, more than %d", f.Name.Name, len(f.Name.Name), maxTestName)
		}
	}
	lines := strings.Split(source, "\n")
	for c := range comments(file) {
		line := lines[files.Position(c.Pos()).Line-1]
		if text := strings.TrimSpace(line); strings.HasPrefix(text, "//") && isProse(text) && utf8.RuneCountInString(line) > maxCommentWidth {
			fault(c.Pos(), "the comment is wider than %d columns", maxCommentWidth)
		}
	}
	return faults
}

// comments iterates over the comments of a file that begin with two slashes. It
// leaves out the output of examples, which cannot be wrapped.
func comments(file *ast.File) func(func(*ast.Comment) bool) {
	return func(yield func(*ast.Comment) bool) {
		for _, group := range file.Comments {
			if strings.HasPrefix(group.Text(), "Output:") || strings.Contains(group.Text(), "\nOutput:") {
				continue
			}
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//") && !yield(c) {
					return
				}
			}
		}
	}
}

// isProse reports whether a comment can be wrapped: a directive, a link and an
// indented example cannot.
func isProse(comment string) bool {
	return !slices.ContainsFunc([]string{"//go:", "//nolint", "//\t"}, func(prefix string) bool {
		return strings.HasPrefix(comment, prefix)
	}) && !strings.Contains(comment, "://")
}
