package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// router finds the handler of a path as OpenAPI says: a literal segment wins over
// a parameter, from left to right. http.ServeMux cannot hold this API: it calls
// /images/by_id/{imageId} and /images/{imageDigest}/content a conflict.
type router struct {
	routes []route
}

type route struct {
	method   string
	pattern  string   // as the document writes it: /images/{imageDigest}
	segments []string // of pattern
	handler  http.HandlerFunc
}

// HandleFunc adds a route. Pattern is "METHOD /path", as for http.ServeMux.
func (rt *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.TrimSuffix(path, "{$}")
	rt.routes = append(rt.routes, route{method: method, pattern: path, segments: segments(path), handler: handler})
}

// ServeHTTP serves the request by the route that Find gives. It exists to satisfy
// the generated code.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, values, _ := rt.find(r.Method, r.URL.EscapedPath())
	if found == nil {
		http.NotFound(w, r)
		return
	}
	found.serve(w, r, values)
}

// find returns the route of a method and an escaped path, with the values of its
// parameters, or nil and the methods that the path has routes for.
func (rt *router) find(method, escaped string) (*route, map[string]string, []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	given := segments(escaped)
	for i, s := range given {
		value, err := url.PathUnescape(s)
		if err != nil {
			return nil, nil, nil
		}
		given[i] = value
	}
	var found *route
	var methods []string
	for i := range rt.routes {
		candidate := &rt.routes[i]
		if !candidate.matches(given) {
			continue
		}
		methods = append(methods, candidate.method)
		if candidate.method == method && (found == nil || candidate.before(found)) {
			found = candidate
		}
	}
	if found == nil {
		slices.Sort(methods)
		return nil, nil, slices.Compact(methods)
	}
	return found, found.values(given), methods
}

// segments splits an escaped path; a trailing slash makes no difference.
func segments(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

func (rt *route) matches(given []string) bool {
	given = rt.folded(given)
	if len(given) != len(rt.segments) {
		return false
	}
	for i, s := range rt.segments {
		if given[i] == "" || !isParameter(s) && s != given[i] {
			return false
		}
	}
	return true
}

// wide is the parameter whose value may be written with its slashes as they are:
// the original's scripts write the names of registries so.
const wide = "{registry}"

// folded joins what stands at a wide parameter, the last segment, and behind it.
func (rt *route) folded(given []string) []string {
	last := len(rt.segments) - 1
	if last < 0 || rt.segments[last] != wide || len(given) <= last {
		return given
	}
	return append(given[:last:last], strings.Join(given[last:], "/"))
}

// before reports whether rt is the more specific of two routes for one path.
func (rt *route) before(other *route) bool {
	for i, s := range rt.segments {
		if p, q := isParameter(s), isParameter(other.segments[i]); p != q {
			return q
		}
	}
	return false
}

func (rt *route) values(given []string) map[string]string {
	values := map[string]string{}
	given = rt.folded(given)
	for i, s := range rt.segments {
		if isParameter(s) {
			values[strings.Trim(s, "{}")] = given[i]
		}
	}
	return values
}

func (rt *route) serve(w http.ResponseWriter, r *http.Request, values map[string]string) {
	for name, value := range values {
		r.SetPathValue(name, value)
	}
	r.Pattern = rt.method + " " + rt.pattern
	rt.handler(w, r)
}
