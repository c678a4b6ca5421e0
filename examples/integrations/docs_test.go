// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the recipes into the page")

const page = "../../docs/with-other-libraries.md"

// pages are the pages with code to copy.
var pages = []string{"../../*.md", "../../docs/*.md", "../../examples/*/*.md"}

var (
	// block matches a block of Go on the page, with the name of its recipe if
	// it has one.
	block = regexp.MustCompile("(?s)(<!-- recipe: ([a-z-]+) -->\n)?```go\n(.*?)```\n")
	// region matches a recipe in a file of Go, after its indentation.
	region = regexp.MustCompile(`(?s)\n(\t*)// recipe: ([a-z-]+)\n(.*?)\n\t*// end\n`)
)

// The pages show the code that is tested here or in fleetRecipe. The program of
// the README has its own test.
func TestPages_ShowTestedRecipes(t *testing.T) {
	recipes := recipesOf(t)
	shown := map[string]bool{}
	for _, pattern := range pages {
		names := must(filepath.Glob(pattern))(t)
		for _, name := range names {
			showRecipes(t, name, recipes, shown)
		}
	}
	for name := range recipes {
		check(t, "a page shows the recipe "+name, shown[name], true)
	}
}

// showRecipes compares the Go blocks on a page with the recipes. With -update
// it writes them.
func showRecipes(t *testing.T, page string, recipes map[string]string, shown map[string]bool) {
	t.Helper()
	content := must(os.ReadFile(page))(t)
	want := block.ReplaceAllFunc(content, func(found []byte) []byte {
		parts := block.FindSubmatch(found)
		name := string(parts[2])
		if filepath.Base(page) == "README.md" && filepath.Dir(page) == "../.." && strings.HasPrefix(string(parts[3]), "package main\n") {
			return found
		}
		code, ok := recipes[name]
		if !ok {
			t.Errorf("%s has a block of Go that no recipe is for, named %q:\n%s", page, name, parts[3])
			return found
		}
		shown[name] = true
		return []byte("<!-- recipe: " + name + " -->\n```go\n" + code + "\n```\n")
	})
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(want) != string(content) {
		t.Errorf("%s shows code that differs from the tested recipes; run go test -run %s -update", page, t.Name())
	}
}

// The page links to tests, like the README.
func TestPage_LinksToExistingTests(t *testing.T) {
	content := string(must(os.ReadFile(page))(t))
	links := regexp.MustCompile(`\[test\]\(([^ )]+) "(Test\w+)"\)`).FindAllStringSubmatch(content, -1)
	check(t, "links", len(links), strings.Count(content, "[test]"))
	for _, link := range links {
		file, name := filepath.Join(filepath.Dir(page), link[1]), link[2]
		source := string(must(os.ReadFile(file))(t))
		check(t, name+" is in "+link[1], strings.Contains(source, "func "+name+"(t *testing.T)"), true)
	}
}

// recipesOf returns the recipes in the files of sourcesOf, by name.
func recipesOf(t *testing.T) map[string]string {
	t.Helper()
	recipes := map[string]string{}
	for _, source := range sourcesOf(t) {
		for _, parts := range region.FindAllStringSubmatch(source, -1) {
			indent, name, code := parts[1], parts[2], parts[3]
			if _, ok := recipes[name]; ok {
				t.Errorf("there are two recipes named %q", name)
			}
			lines := strings.Split(code, "\n")
			for i := range lines {
				lines[i] = strings.TrimPrefix(lines[i], indent)
			}
			recipes[name] = strings.TrimSpace(strings.Join(lines, "\n"))
		}
	}
	return recipes
}

// fleetRecipe is the tested program of docs/fleet.md.
const fleetRecipe = "../../tokensource/fleet/recipe_test.go"

// sourcesOf returns the files of this package, and fleetRecipe.
func sourcesOf(t *testing.T) (sources []string) {
	t.Helper()
	for _, file := range append(must(filepath.Glob("*.go"))(t), fleetRecipe) {
		if file != "docs_test.go" {
			sources = append(sources, string(must(os.ReadFile(file))(t)))
		}
	}
	return sources
}
