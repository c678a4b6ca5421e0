// SPDX-License-Identifier: Apache-2.0

// Package integrations has the recipes of docs/with-other-libraries.md and the
// other Go code on the pages. Its tests run them with the real libraries and a
// fake server.
//
//	go -C examples/integrations test ./...
//
// A page shows the lines between "// recipe: name" and "// end".
package integrations
