// Package render turns answers into text: the tables, key lines, JSON, YAML and
// Python literals that anchore-cli 0.9.4 printed, byte for byte. It writes to what
// it is given and asks nobody. Nothing that a terminal would obey leaves a table,
// a key line or a literal.
//
// An answer is decoded without a schema, since --json prints it as it was
// received, whatever keys it has: nil, bool, Number, string, []any or Object.
package render
