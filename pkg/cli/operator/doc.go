// Package operator has the commands of whoever runs an engine: accounts and their
// users, credentials of registries, the state of the services, webhooks.
package operator
