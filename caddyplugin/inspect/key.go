package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// writeFingerprint writes the fingerprint of the public key that belongs to the
// private key in a file, and nothing of the private key.
func writeFingerprint(ctx context.Context, out io.Writer, path string, asJSON bool) error {
	if ctx == nil {
		ctx = context.Background() // cobra has none if it was called without.
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
