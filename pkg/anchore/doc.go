// Package anchore is the vocabulary of the engine: accounts, references, images,
// subscriptions, notifications, events and the kinds of error. It has types and
// rules, no I/O, and imports the standard library only, so that every other
// package can speak it.
package anchore
