// Package session holds what the commands of one command line share: options,
// environment and credentials file, the engine's client, the form of answers, the
// way from an error to an exit code, and click's frame of usage and help.
package session
