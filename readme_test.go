package pismoauth_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// link matches the README's links to tests: [test](file_test.go "TestName").
var link = regexp.MustCompile(`\[test\]\(([^ )]+) "(Test\w+)"\)`)

func TestReadme_LinksExistingTests(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	links := link.FindAllStringSubmatch(string(readme), -1)
	if want := strings.Count(string(readme), "[test]"); len(links) == 0 || len(links) != want {
		t.Fatalf("%d links to tests can be read, of %d", len(links), want)
	}
	for _, l := range links {
		file, name := l[1], l[2]
		source, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(string(source), "func "+name+"(t *testing.T)") {
			t.Errorf("%s is not in %s", name, file)
		}
	}
}
