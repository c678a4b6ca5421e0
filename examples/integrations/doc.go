// Package integrations has the recipes of docs/with-other-libraries.md and the
// other Go code on the pages, and the tests that run them with the real
// libraries, against a fake of the platform.
//
//	go -C examples/integrations test ./...
//
// What stands between "// recipe: name" and "// end" is what a page shows.
package integrations
