package image

import (
	"encoding/json"
	"errors"
	"fmt"
)

// jsonFault says what is wrong with a document that was not decoded, without naming
// types of this program.
func jsonFault(err error) string {
	typ, other := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case !other:
		return "it is no JSON, or not all of it"
	case typ.Field == "":
		return "it is a " + typ.Value + ", and no object"
	}
	return fmt.Sprintf("%s is of another type (%s)", typ.Field, typ.Value)
}
