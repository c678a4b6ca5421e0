// SPDX-License-Identifier: Apache-2.0

// Package ogenclient is what ogen makes of an OpenAPI file in the shape of
// Pismo's.
package ogenclient

//go:generate go run github.com/ogen-go/ogen/cmd/ogen@v1.24.0 --config ogen.yaml --package ogenclient --target . ../openapi/payments.yaml
