// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandFaults returns the missing things that a line of a shell names:
// folders, targets, flags, tests, versions. An unknown command is a fault. Add
// a check for a new command here.
func commandFaults(t *testing.T, line string) (faults []string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " # ")
	line = strings.Trim(strings.TrimSpace(line), "()")
	dir := "."
	for command := range strings.SplitSeq(line, "&&") {
		words := strings.Fields(command)
		for len(words) > 0 && strings.Contains(words[0], "=") {
			words = words[1:] // a variable
		}
		if len(words) == 0 {
			continue
		}
		fault := ""
		switch args := words[1:]; words[0] {
		case "git", "curl": // These commands name nothing in this repository.
		case "openssl", "chmod": // TestOpenID_CommandsMakeAKey runs those of docs/openid.md.
			if !strings.Contains(readFile(t, "docs/openid.md"), strings.TrimSpace(command)) {
				fault = "no test checks it"
			}
		case "cd":
			dir = args[0]
			if dir == "pismoauth" { // a clone
				dir = "."
			}
			fault = missing(dir)
		case "make":
			if !regexp.MustCompile(`(?m)^` + args[0] + `: ##`).MatchString(readFile(t, "Makefile")) {
				fault = "the Makefile has no target " + args[0]
			}
		case ".ci/run":
			for _, part := range args {
				fault += missing(".ci/parts/" + part + ".sh")
			}
		case "caddyplugin/xcaddy.sh":
			fault = missing(words[0])
		case "./caddy":
			fault = missing(args[len(args)-1])
		case "xcaddy":
			fault = xcaddyFault(t, args)
		case "go":
			fault = goFault(t, dir, args)
		default:
			fault = "no test checks it"
		}
		if fault != "" {
			faults = append(faults, strings.TrimSpace(command)+": "+fault)
		}
	}
	return faults
}

// missing returns a fault if a file or folder does not exist.
func missing(name string) string {
	if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
		return name + " does not exist"
	}
	return ""
}

func xcaddyFault(t *testing.T, args []string) string {
	t.Helper()
	if len(args) < 4 || args[0] != "build" || args[2] != "--with" {
		return "no test checks it"
	}
	if version := "v" + caddyVersion(t); args[1] != version {
		return "the plugin is built with Caddy " + version
	}
	return unknownModule(args[3])
}

// unknownModule returns a fault if the part before the @ is not a package here.
func unknownModule(query string) string {
	name, _, _ := strings.Cut(query, "@")
	below, ok := strings.CutPrefix(name, module)
	if !ok {
		return name + " is not in this repository"
	}
	return missing(below)
}

// goFault checks a go command in a folder.
func goFault(t *testing.T, dir string, args []string) string {
	t.Helper()
	var packages, own []string // folders, and arguments for the program or the test
	subcommand := ""
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-C":
			i++
			dir = path.Join(dir, args[i])
		case arg == "-o", arg == "-fuzztime":
			i++
		case subcommand == "":
			subcommand = arg
		case subcommand == "get":
			return unknownModule(arg)
		case arg == "." || strings.HasPrefix(arg, "./"):
			packages = append(packages, path.Join(dir, arg))
		default:
			own = append(own, arg)
		}
	}
	if len(packages) != 1 {
		return "no test checks it"
	}
	pkg, recursive := strings.CutSuffix(packages[0], "...")
	if fault := missing(pkg); fault != "" {
		return fault
	}
	source := sources(t, pkg)
	if source == "" && !recursive {
		return pkg + " has no Go files"
	}
	for i, arg := range own {
		if fault := ownFault(source, arg, i, own); fault != "" {
			return fault
		}
	}
	return ""
}

// ownFault checks the flags, the command or the test in the arguments for a
// package.
func ownFault(source, arg string, i int, all []string) string {
	name, isFlag := strings.CutPrefix(arg, "-")
	switch {
	case arg == "-run", arg == "-fuzz", arg == "-race", arg == "-bench":
	case i > 0 && (all[i-1] == "-run" || all[i-1] == "-fuzz"):
		if test := strings.Trim(arg, "'^$"); !strings.Contains(source, "func "+test) {
			return "there is no test " + test
		}
	case isFlag && !regexp.MustCompile(`\.(Bool|String|Int|Duration)(Var)?\((&[\w.]+, )?"`+name+`"`).MatchString(source):
		return "there is no flag " + arg
	case regexp.MustCompile(`^[a-z]+$`).MatchString(arg) && !strings.Contains(source, `"`+arg+`"`):
		return "there is no command " + arg
	}
	return ""
}
