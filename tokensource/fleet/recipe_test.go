// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The program of docs/fleet.md runs as two replicas with one store.
func TestRecipe_ReplicasShareAToken(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	issuer, store := pismo.Issuer(), new(fleettest.Memory)
	replica := func(credentials passport.Credentials) (*tokensource.Source, error) {
		// recipe: fleet
		shared, err := fleet.New(fleet.Config{
			Issuer: issuer, // such as a *passport.S2S with these credentials
			Store:  store,  // such as a *redisstore.Store
			Key:    credentials.Secret,
		})
		if err != nil {
			return nil, err
		}
		return tokensource.New(tokensource.Config{Issuer: shared})
		// end
	}
	credentials := passport.StaticCredentials(pismo.ServerKey(), pismo.ServerSecret())
	var tokens [2]*tokensource.Token
	for i := range tokens {
		source, err := replica(credentials)
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = token(t, source, acct(t, 1))
	}
	if tokens[0].Reveal() != tokens[1].Reveal() {
		t.Error("the replicas have different tokens")
	}
}
