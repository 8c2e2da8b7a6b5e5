// Package retired lists the keys of the original's config.yaml that no longer mean
// anything, each with the reason.
package retired

// Key is a key of the original that does nothing here; what stands below it too.
type Key struct {
	Name   string // <…> stands for any name
	Reason string // for users
}

// Keys lists them, in the order of the original's file; of two that fit a path, the
// first holds.
func Keys() []Key {
	const (
		oneProcess = "there is one process, without calls between services"
		noDatabase = "the engine keeps its data in data_dir"
		unmeasured = "requests have fixed limits"
		notYet     = "this version does not do that"
	)
	return []Key{
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
