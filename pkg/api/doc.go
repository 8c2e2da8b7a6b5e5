// Package api is the contract between the engine and its clients: the OpenAPI
// document, and what is generated from it: types, client and server interface.
// The document is the source; after a change run go generate.
package api

import _ "embed"

//go:generate go tool oapi-codegen -config types.yaml openapi.yaml
//go:generate go tool oapi-codegen -config server.yaml openapi.yaml

//go:embed openapi.yaml
var document string

// Document returns the OpenAPI document as YAML.
func Document() []byte { return []byte(document) }
