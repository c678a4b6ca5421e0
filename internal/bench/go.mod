// Figures, and comparisons with other libraries. A module of its own,
// so that those libraries never reach the root's go.mod.
module github.com/pismoauth/pismoauth/internal/bench

go 1.26.0

require (
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/hashicorp/go-retryablehttp v0.7.8
	github.com/hashicorp/golang-lru/v2 v2.0.7
	github.com/maypok86/otter/v2 v2.4.0
	github.com/pismoauth/pismoauth v0.1.0
	github.com/puzpuzpuz/xsync/v4 v4.5.0
	golang.org/x/oauth2 v0.37.0
	golang.org/x/perf v0.0.0-20260908200009-22c9c6c9d4da
)

require (
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
)

replace github.com/pismoauth/pismoauth => ../..
