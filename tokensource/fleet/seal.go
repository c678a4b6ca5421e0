// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/pismoauth/pismoauth/tokensource"
)

// version begins each name and each sealed value. A change of the format
// changes it, so that old and new processes do not read each other's values.
const version = "p1:"

const keySize = 32

// nameLen is the length of the MAC in a name: 132 bits.
const nameLen = 22

// The purposes of names.
const (
	forToken   = "token"
	forAccount = "account failures"
	forAll     = "failures"
	forBudget  = "budget"
)

// keys derive the names and seal the values of one set of credentials.
type keys struct{ naming, sealing []byte }

// newKeys derives keys from a secret. Another secret or another scope has other
// keys, and so other names.
func newKeys(secret []byte, scope string) (*keys, error) {
	naming, err := hkdf.Key(sha256.New, secret, nil, "pismoauth fleet 1 naming\x00"+scope, keySize)
	if err != nil {
		return nil, err
	}
	sealing, err := hkdf.Key(sha256.New, secret, nil, "pismoauth fleet 1 sealing\x00"+scope, keySize)
	if err != nil {
		return nil, err
	}
	return &keys{naming, sealing}, nil
}

// name returns the opaque name of a purpose and an account. The zero account is
// for what concerns all accounts.
func (k *keys) name(purpose string, account tokensource.Account) string {
	mac := hmac.New(sha256.New, k.naming)
	mac.Write([]byte(purpose + "\x00" + string(account.Kind()) + "\x00" + account.ID()))
	return version + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))[:nameLen]
}

// aead returns the cipher for the values under a name. A key for each name
// keeps the number of values under one key small.
func (k *keys) aead(name string) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.sealing, name, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts v as the value under name. The name is authenticated too, so
// that a value under another name is not accepted.
func (k *keys) seal(name string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	a, err := k.aead(name)
	if err != nil {
		return nil, err
	}
	//nolint:gosec // The cipher draws the nonce itself. The version is a prefix.
	return a.Seal([]byte(version), nil, text, []byte(version+name)), nil
}

// open decrypts a value. It reports whether the value was sealed under name
// with these keys.
func (k *keys) open(name string, value []byte, v any) bool {
	if len(value) > maxValue || len(value) < len(version) || string(value[:len(version)]) != version {
		return false
	}
	a, err := k.aead(name)
	if err != nil {
		return false
	}
	text, err := a.Open(nil, nil, value[len(version):], []byte(version+name))
	return err == nil && json.Unmarshal(text, v) == nil
}

// maxValue is the length of the longest value that is opened. A token that can
// be sent in a header is much shorter.
const maxValue = 64 << 10
