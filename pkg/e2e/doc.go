// Package e2e has the end-to-end tests: they run the built engine and anchore-cli
// against a registry and webhook receivers on loopback. docs/seed-coverage.md maps
// the promises of the subscription documentation to the tests here.
package e2e
