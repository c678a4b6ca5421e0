module github.com/pismoauth/pismoauth

go 1.26.0

require (
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/hashicorp/go-retryablehttp v0.7.8
	golang.org/x/oauth2 v0.37.0
)

require github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
