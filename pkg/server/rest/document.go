package rest

import (
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
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
	filled   map[string]bool // names of its query parameters that must not be empty
	stream   bool            // its body is passed on as it comes
	public   bool            // for everybody
}

func loadDocument(text []byte) (*document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	d := &document{spec: spec, operations: map[string]*operation{}}
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			d.operations[method+" "+path] = &operation{
				Operation: withoutSecurity(op), path: path, item: item,
				booleans: queryParameters(isBoolean, op.Parameters, item.Parameters),
				filled:   queryParameters(isFilled, op.Parameters, item.Parameters),
				stream:   isStream(op.RequestBody),
				public:   op.Security != nil && len(*op.Security) == 0,
			}
		}
	}
	tree, err := Sorted(spec)
	if err != nil {
		return nil, err
	}
	if d.openapi, err = Encode(tree); err != nil {
		return nil, err
	}
	d.swagger, err = Encode(oldForm(spec))
	return d, err
}

// withoutSecurity is op for the validation: the caller is known by then, and looking
// at who may call, it would read the whole body.
func withoutSecurity(op *openapi3.Operation) *openapi3.Operation {
	open := *op
	open.Security = openapi3.NewSecurityRequirements()
	return &open
}

func isBoolean(p *openapi3.Parameter) bool { return p.Schema.Value.Type.Is(openapi3.TypeBoolean) }

// isFilled reports whether a parameter must have a value where it is given, as the
// document means it unless it says allowEmptyValue.
func isFilled(p *openapi3.Parameter) bool { return !p.AllowEmptyValue }

// queryParameters is the names of the query parameters that has selects.
func queryParameters(has func(*openapi3.Parameter) bool, lists ...openapi3.Parameters) map[string]bool {
	names := map[string]bool{}
	for _, list := range lists {
		for _, p := range list {
			if p.Value.In == openapi3.ParameterInQuery && has(p.Value) {
				names[p.Value.Name] = true
			}
		}
	}
	return names
}

func (d *document) operation(rt *route) *operation {
	return d.operations[rt.method+" "+rt.pattern]
}

func (d *document) route(op *operation, method string) *routers.Route {
	return &routers.Route{Spec: d.spec, Path: op.path, PathItem: op.item, Method: method, Operation: op.Operation}
}

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

// ServeOpenAPI answers with the document itself.
func (h *Handler) ServeOpenAPI(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.document.openapi)
}

// ServeSwagger answers with the form that older clients read.
func (h *Handler) ServeSwagger(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.document.swagger)
}

// FindRoute implements routers.Router: what the document says of the operation that
// a request is for, and the values of its path parameters.
func (h *Handler) FindRoute(r *http.Request) (*routers.Route, map[string]string, error) {
	found, values, methods := h.router.find(r.Method, withoutVersion(r.URL.EscapedPath()))
	switch {
	case found != nil:
		return h.document.route(h.document.operation(found), found.method), values, nil
	case len(methods) > 0:
		return nil, nil, routers.ErrMethodNotAllowed
	}
	return nil, nil, routers.ErrPathNotFound
}
