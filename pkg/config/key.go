package config

import (
	"slices"
	"strings"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// key is one row of the table: a scalar setting.
type key struct {
	name    string   // path in the file; <registry> and <header> stand for any name
	old     []string // other paths that set it: the original's
	env     []string // variables beside the one that the rule gives
	flag    string   // of engine serve
	kind    kind
	def     string // "" for none
	inherit string // key whose value holds where this one is absent
	example string // for the sample, where it differs from def
	doc     string // sentences for the reference page and the sample
	set     func(d *draft, names []string, v value)
	guards  bool // an empty value, of a variable too, is an error: it would silently switch a protection off
}

// draft is a Config that is being filled.
type draft struct {
	Config
	apiListen, apiPort string // the original's two halves of Listen
	sslEnable          *bool
	endpoints          map[string]*Endpoint
	registries         map[string]*Registry
	accesses           map[string]*RegistryAccess
}

func (d *draft) endpoint(name string) *Endpoint {
	if d.endpoints[name] == nil {
		d.endpoints[name] = &Endpoint{Name: name}
	}
	return d.endpoints[name]
}

func (d *draft) registry(host string) *Registry {
	if d.registries[host] == nil {
		d.registries[host] = &Registry{}
	}
	return d.registries[host]
}

// endpointNames are the entries below webhooks, in the order of the sample.
var endpointNames = [...]string{
	"general", "policy_eval", "tag_update", "vuln_update", "analysis_update", "error_event", "event_log",
}

// defaultRetry is how long a notification is tried, 72 hours in seconds: a receiver
// that broke on a Friday evening gets everything on Monday.
const defaultRetry = "259200"

// keys returns the table, with a row for each endpoint's keys.
func keys() []key {
	return slices.Concat(engineKeys(), imageKeys(), watchKeys(), registryKeys(), subscriptionKeys(), analysisKeys(), eventKeys(), webhookKeys())
}

func engineKeys() []key {
	return []key{
		{name: "data_dir", old: []string{"service_dir"}, env: []string{"ANCHORE_SERVICE_DIR"}, flag: "data-dir", kind: text,
			example: "/var/lib/anchore-engine",
			doc:     "Directory of the store and of the analysis results; made with mode 0700 if it is missing. Without it: .anchore_engine in the home directory, as in the original.",
			set:     func(d *draft, _ []string, v value) { d.DataDir = v.text }},
		{name: "listen", flag: "listen", kind: address, def: "127.0.0.1:8228",
			doc: "Address of the REST API, host:port. Port 0 takes any free one.",
			set: func(d *draft, _ []string, v value) { d.Listen = v.text }},
		{name: "services.apiext.listen", kind: text, example: "0.0.0.0",
			doc: "The original's key for the host of listen; used where listen is absent.",
			set: func(d *draft, _ []string, v value) { d.apiListen = v.text }},
		{name: "services.apiext.port", env: []string{"ANCHORE_SERVICE_PORT"}, kind: whole(0, 65535), example: "8228",
			doc: "The original's key for the port of listen; used where listen is absent.",
			set: func(d *draft, _ []string, v value) { d.apiPort = v.text }},
		{name: "services.apiext.ssl_enable", kind: boolean, example: "true",
			doc: "The original's switch for HTTPS: false serves plain HTTP although tls.cert is set, true asks for tls.cert and tls.key.",
			set: func(d *draft, _ []string, v value) { d.sslEnable = &v.yes }},
		{name: "tls.cert", old: []string{"services.apiext.ssl_cert"}, kind: text, example: "/etc/anchore/tls.crt",
			doc: "PEM file with the certificate chain of the REST API. With tls.key, the API is served by HTTPS.",
			set: func(d *draft, _ []string, v value) { d.TLS.Cert = v.text }},
		{name: "tls.key", old: []string{"services.apiext.ssl_key"}, kind: text, example: "/etc/anchore/tls.key",
			doc: "PEM file with the private key of tls.cert.",
			set: func(d *draft, _ []string, v value) { d.TLS.Key = v.text }},
		{name: "public_url", kind: httpURL, example: "https://anchore.example.com",
			doc: "Where clients reach this engine: links in notifications begin with it, and events name it. Without it: the address that the API listens on, and the host's name where that is an address for all, such as 0.0.0.0.",
			set: func(d *draft, _ []string, v value) { d.PublicURL = strings.TrimRight(v.text, "/") }},
		{name: "log_level", flag: "log-level", kind: logLevel, def: "INFO",
			doc: "The least level that is logged. FATAL is read as ERROR and SPEW as DEBUG.",
			set: func(d *draft, _ []string, v value) { d.LogLevel = v.level }},
		{name: "log_format", kind: choice("text", "json"), def: "text", doc: "Form of the log's lines on standard error.",
			set: func(d *draft, _ []string, v value) { d.LogFormat = v.text }},
		{name: "host_id", kind: text, example: "anchore-quickstart",
			doc: "Name of this engine in events and in the list of services. Without it: the host's name.",
			set: func(d *draft, _ []string, v value) { d.HostID = v.text }},
		{name: "default_admin_password", env: []string{"ANCHORE_ADMIN_PASSWORD"}, kind: secret, example: "${ANCHORE_ADMIN_PASSWORD}",
			doc: "Password of the user admin, 6 to 128 characters, used when the first start creates it. Without it a random one is written to admin-password in the data directory.",
			set: func(d *draft, _ []string, v value) { d.AdminPassword = anchore.Secret(v.text) }},
		{name: "default_admin_email", env: []string{"ANCHORE_ADMIN_EMAIL"}, kind: text, def: "admin@myanchore",
			doc: "E-mail address of the account admin, used when the first start creates it.",
			set: func(d *draft, _ []string, v value) { d.AdminEmail = v.text }},
		{name: "metrics.enabled", old: []string{"metrics.enable"}, env: []string{"ANCHORE_ENABLE_METRICS"}, kind: boolean, def: "false",
			doc: "Serve Prometheus metrics at /metrics, to administrators: their labels name the registries and endpoints of all accounts.",
			set: func(d *draft, _ []string, v value) { d.Metrics.Enabled = v.yes }},
		{name: "metrics.auth_disabled", env: []string{"ANCHORE_DISABLE_METRICS_AUTH"}, kind: boolean, def: "false",
			doc: "Serve /metrics to everybody, without authentication.",
			set: func(d *draft, _ []string, v value) { d.Metrics.Open = v.yes }},
	}
}

func imageKeys() []key {
	return []key{
		{name: "max_compressed_image_size_mb", kind: whole(-1<<31, 1<<31-1), def: "-1",
			doc: "Largest image that is taken, as the sum of its compressed layers in MiB. Any negative number is no limit; so is 0, with a warning, as the original's code had it in spite of its documentation.",
			set: func(d *draft, _ []string, v value) { d.MaxCompressedImageSizeMB = v.n }},
		{name: "platform", kind: platform, def: anchore.DefaultPlatform.String(),
			doc: "Which image of a multi-platform tag is meant, on every host: os/architecture[/variant].",
			set: func(d *draft, _ []string, v value) { d.Platform = v.platform }},
	}
}

func watchKeys() []key {
	return []key{
		{name: "watch.interval", old: []string{"services.catalog.cycle_timers.image_watcher"}, kind: timer, def: "300",
			doc: "One look at each watched tag in this time. 0 switches the watcher off; a negative number is read as its absolute value, as in the original.",
			set: func(d *draft, _ []string, v value) { d.Watch.Interval = v.duration }},
		{name: "watch.repository_interval", old: []string{"services.catalog.cycle_timers.repo_watcher"}, kind: timer, def: "60",
			doc: "Each watched repository is listed once in this time, and its new tags are added. 0 switches it off, and then repo add adds no tags; a negative number is read as its absolute value, as in the original. In a registry with an interval of its own a repository is not listed more often than that.",
			set: func(d *draft, _ []string, v value) { d.Watch.RepositoryInterval = v.duration }},
		{name: "watch.concurrency", kind: whole(1, 1024), def: "32", doc: "Requests to registries at once, over all registries.",
			set: func(d *draft, _ []string, v value) { d.Watch.Concurrency = v.n }},
		{name: "watch.registry_concurrency", kind: whole(1, 256), def: "8", doc: "Requests at once to one registry.",
			set: func(d *draft, _ []string, v value) { d.Watch.RegistryConcurrency = v.n }},
		{name: "watch.notify_rebuilds", kind: boolean, def: "false",
			doc: "Notify also when only the index of a multi-platform tag was rebuilt while the image of the platform stayed the same.",
			set: func(d *draft, _ []string, v value) { d.Watch.NotifyRebuilds = v.yes }},
		{name: "watch.registries.<registry>.interval", kind: timer, example: "3600", doc: "watch.interval for this registry (host or host:port as in references, e.g. docker.io or localhost:5000).",
			set: func(d *draft, names []string, v value) { d.registry(names[0]).Interval = &v.duration }},
		{name: "watch.registries.<registry>.concurrency", kind: whole(1, 256), example: "2", doc: "watch.registry_concurrency for this registry.",
			set: func(d *draft, names []string, v value) { d.registry(names[0]).Concurrency = v.n }},
		{name: "watch.registries.<registry>.platform", kind: platform, example: "linux/arm64", doc: "platform for this registry.",
			set: func(d *draft, names []string, v value) { d.registry(names[0]).Platform = v.platform }},
	}
}

func subscriptionKeys() []key {
	var rows []key
	for _, t := range anchore.TagSubscriptionTypes() {
		def := "false"
		if t == anchore.TagUpdate || t == anchore.AnalysisUpdate {
			def = "true"
		}
		rows = append(rows, key{name: "subscriptions.default." + string(t), kind: boolean, def: def,
			doc: "Whether the subscription " + string(t) + " that adding a tag creates is active.",
			set: func(d *draft, _ []string, v value) { d.Subscriptions[t] = v.yes }})
	}
	return rows
}

func analysisKeys() []key {
	return []key{
		{name: "analysis.concurrency", old: []string{"services.analyzer.max_threads"}, kind: whole(1, 256), def: "1",
			doc: "Images analyzed at once, each in a process of its own.",
			set: func(d *draft, _ []string, v value) { d.Analysis.Concurrency = v.n }},
		{name: "analysis.timeout", old: []string{"image_analyze_timeout_seconds"}, kind: seconds(time.Second, 7*24*time.Hour), def: "1800",
			doc: "How long the analysis of one image may take.",
			set: func(d *draft, _ []string, v value) { d.Analysis.Timeout = v.duration }},
		{name: "analysis.memory_limit_mb", kind: whole(0, 1<<20), def: "0",
			doc: "Memory in MiB that one analysis may use. 0 derives it from the memory of the machine or container.",
			set: func(d *draft, _ []string, v value) { d.Analysis.MemoryLimit = int64(v.n) << 20 }},
		{name: "analysis.layer_cache_max_gigabytes", old: []string{"services.analyzer.layer_cache_max_gigabytes"}, kind: whole(1, 1<<20), def: "1",
			doc: "Size of the layer cache in GiB.",
			set: func(d *draft, _ []string, v value) { d.Analysis.LayerCacheBytes = int64(v.n) << 30 }},
		{name: "analysis.layer_cache_enable", old: []string{"services.analyzer.layer_cache_enable"}, kind: boolean, def: "true",
			doc: "Keep fetched layers for the next image that has them.",
			set: func(d *draft, _ []string, v value) {
				if !v.yes {
					d.Analysis.LayerCacheBytes = 0
				}
			}},
	}
}

func eventKeys() []key {
	return []key{
		{name: "events.keep_days", kind: whole(0, 36500), def: "90", doc: "Events older than so many days are removed. 0 keeps them all.",
			set: func(d *draft, _ []string, v value) { d.Events.Keep = time.Duration(v.n) * 24 * time.Hour }},
		{name: "events.notify", old: []string{"services.catalog.event_log.notification.enabled"}, env: []string{"ANCHORE_EVENTS_NOTIFICATIONS_ENABLED"}, kind: boolean, def: "false", example: "true",
			doc: "Send events to the endpoint event_log, and to general.",
			set: func(d *draft, _ []string, v value) { d.Events.Notify = v.yes }},
		{name: "events.notify_levels", old: []string{"services.catalog.event_log.notification.level"}, kind: levels, example: "[error, fatal]",
			doc: "Which events are sent: a list of info, error and fatal. Without it, or with an empty list: all.",
			set: func(d *draft, _ []string, v value) { d.Events.Levels = v.levels }},
		{name: "alarms.min_free_mb", kind: whole(0, 1<<30), def: "256",
			doc: "A FATAL event tells when the file system of data_dir has less free space than so many MiB. 0 does not look.",
			set: func(d *draft, _ []string, v value) { d.Alarms.MinFree = int64(v.n) << 20 }},
		{name: "alarms.endpoint_dead_after", kind: seconds(0, 365*24*time.Hour), def: "3600",
			doc: "A FATAL event tells when a webhook endpoint has taken nothing for so long, although something was to be sent. 0 never tells.",
			set: func(d *draft, _ []string, v value) { d.Alarms.EndpointDead = v.duration }},
	}
}

// webhookKeys has what an endpoint inherits first, then the rows of each endpoint.
func webhookKeys() []key {
	shared := endpointShared()
	var rows []key
	for _, k := range shared {
		top := k
		top.name = "webhooks." + k.name
		top.set = func(*draft, []string, value) {} // read through inherit by each endpoint
		rows = append(rows, top)
	}
	for _, endpoint := range endpointNames {
		for _, k := range slices.Concat(endpointOwn(endpoint), shared) {
			if slices.ContainsFunc(shared, func(s key) bool { return s.name == k.name }) {
				k.inherit, k.def = "webhooks."+k.name, ""
			}
			set := k.set
			k.name = "webhooks." + endpoint + "." + k.name
			k.set = func(d *draft, names []string, v value) { set(d, append([]string{endpoint}, names...), v) }
			rows = append(rows, k)
		}
	}
	return rows
}

// endpointShared are the keys that may stand at the top of webhooks, for all
// endpoints, and in an endpoint, for it alone.
func endpointShared() []key {
	return []key{
		{name: basicUser, kind: text, example: "user", doc: "User for HTTP Basic authentication. An endpoint that has bearer_token, a header Authorization or a user in its url inherits none; an empty one in an endpoint is none, also without the password that it would inherit.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).User = v.text }},
		{name: basicPassword, kind: secret, example: "pass", doc: "Password for HTTP Basic authentication; not inherited where the user is not.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).Password = anchore.Secret(v.text) }},
		{name: "ssl_verify", kind: boolean, def: "true", example: "false", doc: "Verify the endpoint's certificate.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).SSLVerify = v.yes }},
		{name: "ca_file", kind: text, example: "/etc/anchore/ca.crt", doc: "PEM file with further authorities to trust.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).CAFile = v.text }},
		{name: "proxy", kind: secretURL, example: "http://proxy.example.com:3128", doc: "Proxy to use. Without it the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY hold.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).Proxy = anchore.Secret(v.text) }},
		{name: "secret", kind: signingSecret, guards: true, example: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", doc: "Key that signs each request by Standard Webhooks: whsec_ and base64, or any text.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).Secret = anchore.Secret(v.text) }},
		{name: "timeout", kind: seconds(time.Second, 10*time.Minute), def: "10", example: "10", doc: "Time for one attempt.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).Timeout = v.duration }},
		{name: "notification_retry_timeout", kind: seconds(0, 365*24*time.Hour), def: defaultRetry, example: defaultRetry, doc: "How long an undelivered notification is tried again before it is parked (the original: 30 seconds, then it was lost).",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).RetryFor = v.duration }},
	}
}

// endpointOwn are the keys that only an endpoint has.
func endpointOwn(endpoint string) []key {
	url := key{name: "url", kind: secretURL, example: "http://localhost:9090/" + endpoint + "/<userId>", doc: "Where the notifications are sent by POST. <notification_type> and <userId> are replaced. Counts as a secret, since many endpoints carry a token in it. Without it, the entry is no endpoint.",
		set: func(d *draft, n []string, v value) { d.endpoint(n[0]).URL = anchore.Secret(v.text) }}
	if endpoint == "general" {
		url.env = []string{"ANCHORE_WEBHOOK_DESTINATION_URL"}
		url.example = "http://localhost:9090/general/<notification_type>/<userId>"
	}
	return []key{url,
		{name: "bearer_token", kind: secret, guards: true, example: "token", doc: "Token for Bearer authentication, instead of webhook_user.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).BearerToken = anchore.Secret(v.text) }},
		{name: "headers.<header>", kind: header, example: "value", doc: "A header of each request, by its name. Authorization is one way to log in, instead of webhook_user.",
			set: func(d *draft, n []string, v value) {
				e := d.endpoint(n[0])
				if e.Headers == nil {
					e.Headers = map[string]anchore.Secret{}
				}
				e.Headers[n[1]] = anchore.Secret(v.text)
			}},
		{name: "client_cert", kind: text, example: "/etc/anchore/client.crt", doc: "PEM file with the client certificate; with client_key.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).ClientCert = v.text }},
		{name: "client_key", kind: text, example: "/etc/anchore/client.key", doc: "PEM file with the key of client_cert.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).ClientKey = v.text }},
		{name: "max_per_second", kind: rate, def: "0", example: "10", doc: "Most requests in a second; 0 is no limit.",
			set: func(d *draft, n []string, v value) { d.endpoint(n[0]).MaxPerSecond = v.rate }},
	}
}

// envName is the rule for environment variables: ANCHORE_, then the path in upper
// case with two underscores for each dot. "" for a key with a free name in it.
func (k key) envName() string {
	if k.free() {
		return ""
	}
	return "ANCHORE_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "__"))
}

// variables lists all that set k, the rule's first.
func (k key) variables() []string {
	if k.free() {
		return nil
	}
	return append([]string{k.envName()}, k.env...)
}

// free says whether k stands for many keys.
func (k key) free() bool { return strings.Contains(k.name, "<") }

// names returns what the free parts of k are in path, and whether path is k's.
func (k key) match(path []string) ([]string, bool) {
	for _, name := range append([]string{k.name}, k.old...) {
		if names, ok := matchPath(strings.Split(name, "."), path); ok {
			return names, true
		}
	}
	return nil, false
}

func matchPath(pattern, path []string) ([]string, bool) {
	if len(pattern) != len(path) {
		return nil, false
	}
	var names []string
	for i, p := range pattern {
		switch {
		case strings.HasPrefix(p, "<"):
			names = append(names, path[i])
		case p != path[i]:
			return nil, false
		}
	}
	return names, true
}
