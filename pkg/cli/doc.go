// Package cli is the command line anchore-cli. Its standard output, exit codes
// and error texts are those of anchore-cli 0.9.4, byte for byte where scripts
// read them, but for the differences that docs/cli-differences.md lists; hints,
// progress and whatever is new go to standard error, or to standard output when
// --output asks for another form.
//
// One file holds one group of commands, here, in cli/archive, cli/image or, if it is
// for whoever runs an engine, in cli/operator. Each command has an options struct, a
// constructor that only reads arguments, and a run function that only works.
package cli

//go:generate go test -count=1 -run TestReferencePages . -update
