// A module of its own, so that the client of Redis never reaches the root's
// go.mod.
module github.com/pismoauth/pismoauth/examples/fleet

go 1.26.0

require (
	github.com/pismoauth/pismoauth v0.1.0
	github.com/pismoauth/pismoauth/tokensource/fleet/redisstore v0.1.0
)

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
	github.com/redis/rueidis v1.0.79 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace (
	github.com/pismoauth/pismoauth => ../..
	github.com/pismoauth/pismoauth/tokensource/fleet/redisstore => ../../tokensource/fleet/redisstore
)
