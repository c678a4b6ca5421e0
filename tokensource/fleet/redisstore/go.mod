module github.com/pismoauth/pismoauth/tokensource/fleet/redisstore

go 1.26.0

require (
	github.com/pismoauth/pismoauth v0.1.0
	github.com/redis/rueidis v1.0.79
)

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/pismoauth/pismoauth => ../../..
