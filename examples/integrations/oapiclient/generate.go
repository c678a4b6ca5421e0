// SPDX-License-Identifier: Apache-2.0

// Package oapiclient is what oapi-codegen makes of an OpenAPI file in the shape
// of Pismo's.
package oapiclient

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -generate types,client -package oapiclient -o client.gen.go ../openapi/payments.yaml
