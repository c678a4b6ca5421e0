// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A program signs its assertions. A real program has the key in a file or in a
// KMS, and gets the values of the claims from Pismo.
func ExampleOpenID() {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pismo.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		fmt.Println(err)
		return
	}
	pismo.RegisterKey(&key.PublicKey)                // At Pismo, in Control Center.
	claims := pismo.OpenIDIssuer(passport.Key{}, "") // At Pismo, from your contact.

	issuer := &passport.OpenID{
		BaseURL:  pismo.URL(),
		Key:      passport.SignerKey(key), // or passport.FileKey("/run/secrets/pismo.pem")
		Issuer:   claims.Issuer,
		Subject:  claims.Subject,
		Audience: claims.Audience,
		TenantID: claims.TenantID,
		Group:    "pismo-v1:accounts:rw",
	}
	source, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		fmt.Println(err)
		return
	}
	account, err := tokensource.ParseAccountID("102681871")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = source.Token(context.Background(), account)
	fmt.Println(err)
	// Output: <nil>
}
