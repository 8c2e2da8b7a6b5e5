package rest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
)

// validate checks a request against the document before its handler sees it.
func (h *Handler) validate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := h.document.operations[r.Pattern]
		params := map[string]string{}
		for _, p := range append(op.item.Parameters[:len(op.item.Parameters):len(op.item.Parameters)], op.Parameters...) {
			if p.Value.In == openapi3.ParameterInPath {
				params[p.Value.Name] = r.PathValue(p.Value.Name)
			}
		}
		err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request:    r,
			PathParams: params,
			Route:      h.document.route(op, r.Method),
			Options: &openapi3filter.Options{
				SkipSettingDefaults: true, // handlers know them
				ExcludeRequestBody:  op.stream,
			},
		})
		if err != nil {
			h.Fail(w, r, anchore.E(anchore.Invalid, "rest.validate", "%s", violation(err)).Because(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// violation says in one sentence what in a request is not as the document says,
// without repeating schema or value.
func violation(err error) string {
	var schema *openapi3.SchemaError
	reason := "not valid"
	where := ""
	if errors.As(err, &schema) {
		reason = schema.Reason
		if at := schema.JSONPointer(); len(at) > 0 {
			where = fmt.Sprintf(" at %q", strings.Join(at, "."))
		}
	} else if errors.Is(err, openapi3filter.ErrInvalidRequired) {
		reason = "missing"
	} else if errors.Is(err, openapi3filter.ErrInvalidEmptyValue) {
		reason = "empty"
	}
	var request *openapi3filter.RequestError
	if errors.As(err, &request) && request.Parameter != nil {
		return fmt.Sprintf("%s parameter %q: %s", request.Parameter.In, request.Parameter.Name, reason)
	}
	return fmt.Sprintf("request body%s: %s", where, reason)
}

// refuseParameter answers when generated code could not read a parameter.
func (h *Handler) refuseParameter(w http.ResponseWriter, r *http.Request, err error) {
	message := "a parameter of the request is not valid"
	var format *api.InvalidParamFormatError
	var required *api.RequiredParamError
	var many *api.TooManyValuesForParamError
	switch {
	case errors.As(err, &format):
		message = fmt.Sprintf("parameter %q is of the wrong type or form", format.ParamName)
		if len(r.URL.Query()[format.ParamName]) > 1 {
			message = fmt.Sprintf("parameter %q is given more than once; several values are one, separated by commas", format.ParamName)
		}
	case errors.As(err, &required):
		message = fmt.Sprintf("parameter %q is missing", required.ParamName)
	case errors.As(err, &many):
		message = fmt.Sprintf("parameter %q is given more than once", many.ParamName)
	}
	h.Fail(w, r, anchore.E(anchore.Invalid, "rest.parameters", "%s", message).Because(err))
}
