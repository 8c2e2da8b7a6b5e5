package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
)

// document is the OpenAPI document, parsed, and both forms that are served of it.
type document struct {
	spec       *openapi3.T
	operations map[string]*operation // by "METHOD /path"
	openapi    []byte
	swagger    []byte
}

// operation is what the middleware must know of one operation of the document.
type operation struct {
	*openapi3.Operation
	path     string
	item     *openapi3.PathItem
	booleans map[string]bool // names of its boolean query parameters
	body     *openapi3.RequestBodyRef
	public   bool
}

func loadDocument() (*document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	d := &document{spec: spec, operations: map[string]*operation{}}
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			d.operations[method+" "+path] = &operation{
				Operation: op, path: path, item: item, body: op.RequestBody,
				booleans: booleanParameters(op.Parameters, item.Parameters),
				public:   op.Security != nil && len(*op.Security) == 0,
			}
		}
	}
	tree, err := sorted(spec)
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	if d.openapi, err = encode(tree); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	d.swagger, err = encode(oldForm(spec))
	return d, err
}

func booleanParameters(lists ...openapi3.Parameters) map[string]bool {
	names := map[string]bool{}
	for _, list := range lists {
		for _, p := range list {
			if p.Value.In == openapi3.ParameterInQuery && p.Value.Schema.Value.Type.Is(openapi3.TypeBoolean) {
				names[p.Value.Name] = true
			}
		}
	}
	return names
}

func (d *document) operation(rt *route) *operation {
	return d.operations[rt.method+" "+rt.pattern]
}

// public reports whether the route is open to everybody.
func (d *document) public(rt *route) bool { return d.operation(rt).public }

// oldForm is the little of Swagger 2.0 that older clients read: the version, and
// which paths there are.
func oldForm(spec *openapi3.T) map[string]any {
	paths := map[string]any{}
	for path, item := range spec.Paths.Map() {
		methods := map[string]any{}
		for method, op := range item.Operations() {
			methods[strings.ToLower(method)] = map[string]any{
				"operationId": op.OperationID,
				"summary":     op.Summary,
				"responses":   map[string]any{"default": map[string]any{"description": "see /v1/openapi.json"}},
			}
		}
		paths[path] = methods
	}
	return map[string]any{
		"swagger":  "2.0",
		"info":     map[string]any{"title": spec.Info.Title, "version": spec.Info.Version, "description": "The full description is /v1/openapi.json."},
		"basePath": "/v1",
		"consumes": []string{"application/json"},
		"produces": []string{"application/json"},
		"paths":    paths,
	}
}

// validate checks a request against the document before its handler sees it.
func (s *Server) validate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := s.document.operations[r.Pattern]
		params := map[string]string{}
		for _, p := range append(op.item.Parameters[:len(op.item.Parameters):len(op.item.Parameters)], op.Parameters...) {
			if p.Value.In == openapi3.ParameterInPath {
				params[p.Value.Name] = r.PathValue(p.Value.Name)
			}
		}
		err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request:    r,
			PathParams: params,
			Route:      s.document.route(op, r.Method),
			Options: &openapi3filter.Options{
				AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // done before
				SkipSettingDefaults: true,                                  // handlers know them
			},
		})
		if err != nil {
			s.fail(w, r, anchore.E(anchore.Invalid, "server.validate", "%s", violation(err)).Because(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *document) route(op *operation, method string) *routers.Route {
	return &routers.Route{Spec: d.spec, Path: op.path, PathItem: op.item, Method: method, Operation: op.Operation}
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
func (s *Server) refuseParameter(w http.ResponseWriter, r *http.Request, err error) {
	message := "a parameter of the request is not valid"
	var format *api.InvalidParamFormatError
	var required *api.RequiredParamError
	var many *api.TooManyValuesForParamError
	switch {
	case errors.As(err, &format):
		message = fmt.Sprintf("parameter %q is of the wrong type or form", format.ParamName)
	case errors.As(err, &required):
		message = fmt.Sprintf("parameter %q is missing", required.ParamName)
	case errors.As(err, &many):
		message = fmt.Sprintf("parameter %q is given more than once", many.ParamName)
	}
	s.fail(w, r, anchore.E(anchore.Invalid, "server.parameters", "%s", message).Because(err))
}

// GetOpenapi answers with the document itself.
func (s *Server) GetOpenapi(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.document.openapi)
}

// GetSwagger answers with the form that older clients read.
func (s *Server) GetSwagger(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.document.swagger)
}
