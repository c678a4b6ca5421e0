// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"strconv"
	"strings"
)

// quotedFile names a file in an error. It does not quote a text that is no
// path: a program that passes the key itself in the place of its path would
// print the key.
func quotedFile(path string) string {
	if isNoPath(path) {
		return "file (the path looks like the content of a file; pass the path)"
	}
	return "file " + strconv.Quote(path)
}

// isNoPath reports whether path looks like the content of a file.
func isNoPath(path string) bool {
	return strings.ContainsAny(path, "\r\n") || strings.Contains(path, "-----BEGIN") || len(path) > 1024
}
