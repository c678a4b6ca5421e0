module github.com/pismoauth/pismoauth/examples

go 1.26.0

require (
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/pismoauth/pismoauth v0.0.0
)

require (
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
)

replace github.com/pismoauth/pismoauth => ../
