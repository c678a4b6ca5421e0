// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// writeFingerprint writes the fingerprint of the public key in a private key
// file. It writes nothing of the private key.
func writeFingerprint(ctx context.Context, out io.Writer, path string, asJSON bool) error {
	if ctx == nil {
		ctx = context.Background() // cobra has no context if its caller gave none.
	}
	fingerprints, err := passport.FileKey(path).Fingerprints(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]string{"public_key_sha256": fingerprints[0]})
	}
	_, err = fmt.Fprintf(out, "public key  SHA-256 %s\n", fingerprints[0])
	return err
}
