package config

import (
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/spelling"
)

// retired is a key of the original that does nothing here; what stands below it too.
type retired struct {
	key    string // <…> stands for any name
	reason string
}

// obsolete lists the original's keys that no longer mean anything.
func obsolete() []retired {
	const (
		oneProcess = "there is one process, without calls between services"
		noDatabase = "the engine keeps its data in data_dir"
		unmeasured = "requests have fixed limits"
		notYet     = "this version does not do that"
	)
	return []retired{
		{"tmp_dir", "temporary files are in data_dir"},
		{"cleanup_images", "nothing is left behind"},
		{"docker_conn", "no docker daemon is used"}, {"docker_conn_timeout", "no docker daemon is used"},
		{"internal_ssl_verify", oneProcess}, {"auto_restart_services", oneProcess}, {"keys", oneProcess},
		{"global_client_connect_timeout", oneProcess}, {"global_client_read_timeout", oneProcess},
		{"server_request_timeout_seconds", unmeasured}, {"skopeo_global_timeout", "registries are asked directly, with fixed timeouts"},
		{"user_authentication.hashed_passwords", "passwords are always hashed"},
		{"user_authentication", notYet}, {"enable_swagger_ui", "the API document is at /v1/openapi.json"},
		{"enable_access_logging", "see log_level"}, {"credentials", noDatabase}, {"license_file", "there is no license to load"},
		{"feeds", notYet}, {"policy_bundles", notYet}, {"default_bundle_file", notYet},
		{"services.catalog.cycle_timers.policy_eval", notYet},
		{"services.catalog.cycle_timers.vulnerability_scan", notYet},
		{"services.catalog.cycle_timers.notifications", "notifications are sent when they arise"},
		{"services.catalog.cycle_timers.policy_bundle_sync", "the original ignored it too"},
		{"services.catalog.cycle_timers", "work is done when it is due, without a timer"},
		{"services.catalog.event_log", "see events, and the endpoints webhooks.event_log and webhooks.error_event"},
		{"services.catalog.image_gc", "what was deleted is swept by itself"},
		{"services.catalog.archive", noDatabase}, {"services.catalog.object_store", noDatabase}, {"services.catalog.analysis_archive", noDatabase},
		{"services.analyzer.enable_hints", notYet}, {"services.analyzer.enable_owned_package_filtering", "syft decides it"},
		{"services.analyzer.keep_image_analysis_tmpfiles", "temporary files are never kept"},
		{"services.analyzer.cycle_timers", "analyses start when they are due"},
		{"services.apiext.external_hostname", "use public_url"}, {"services.apiext.external_port", "use public_url"},
		{"services.apiext.external_tls", "use public_url"}, {"services.apiext.authorization_handler", notYet},
		{"services.apiext.ssl_chain", "put the chain into the file of tls.cert"}, {"services.apiext.log_level", "use log_level"},
		{"services.policy_engine", notYet}, {"services.kubernetes_webhook", notYet}, {"services.simplequeue", oneProcess},
		{"services.<service>", oneProcess},
		{"webhooks.event_update", "the original sent nothing there; use event_log"},
	}
}

// misplaced are keys that people put at the top of the file and that mean nothing
// there: the original ignored them silently.
func misplaced() []string {
	return append(endpointNames[:], "webhook_user", "webhook_pass", "ssl_verify", "notification_retry_timeout")
}

// strays are variables that look like the rule's but name no key, or that differ
// little from one that does. Used are those that the file names; the command line
// client has its own.
func strays(rows []key, env map[string]string, used []string) Problems {
	known := []string{"ANCHORE_CONFIG", "ANCHORE_CONFIG_DIR", envFile}
	for _, k := range rows {
		known = append(known, k.variables()...)
	}
	var out Problems
	for name, value := range env {
		if !strings.HasPrefix(name, "ANCHORE_") || strings.HasPrefix(name, "ANCHORE_CLI_") || slices.Contains(known, name) || slices.Contains(used, name) {
			continue
		}
		hint := ""
		if strings.Contains(name, "__") {
			hint = closest(name, known)
		} else if hint = mistyped(name, known); hint == "" || unset(value) {
			continue // somebody else's
		}
		out = append(out, Problem{Source: "environment variable " + printable(name), Message: "names no key, ignored" + hint, Warning: true})
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// mistyped suggests the known variable from which name differs in no more than its
// underscores and one other character, or nothing.
func mistyped(name string, known []string) string {
	if len(name) > 200 {
		return ""
	}
	bare := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "_", "")) }
	best, least := "", 2
	for _, k := range known {
		if d := spelling.Distance(bare(name), bare(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// nearMiss suggests the key that was probably meant, or nothing.
func nearMiss(path string, rows []key) string {
	var known []string
	for _, k := range rows {
		known = append(known, k.name)
	}
	return closest(path, known)
}

// closest suggests the known name that differs least from name, if it is close.
func closest(name string, known []string) string {
	if len(name) > 200 {
		return ""
	}
	best, least := "", 1+len(name)/5
	for _, k := range known {
		if d := spelling.Distance(name, k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
