package anchore

import (
	"slices"
	"time"
)

// Level is the severity of an event.
type Level string

const (
	Info    Level = "info"
	Failure Level = "error"
	Fatal   Level = "fatal" // the engine cannot do its work; sent to the error_event webhook
)

// EventType names a kind of event: category.subcategory.event.
type EventType string

// The event types of the original that apply to this engine, and, below the
// blank line, those it adds.
const (
	EventAnalysisCompleted    EventType = "user.image.analysis.completed"
	EventAnalysisFailed       EventType = "user.image.analysis.failed"
	EventRegistryLookupFailed EventType = "system.image_analysis.registry_lookup_failed"
	EventManifestParseFailed  EventType = "system.image_analysis.manifest_parse_fail"
	EventListTagsFailed       EventType = "system.repository.list_tags_fail"
	EventImageArchived        EventType = "system.analysis_archive.image_archived"
	EventArchivedImageDeleted EventType = "system.analysis_archive.archived_image_deleted"
	EventImageRestored        EventType = "system.image_analysis.restored_from_archive"

	EventTagMoved        EventType = "user.image.tag.updated"           // the tag names another digest
	EventTagDeleted      EventType = "user.image.tag.deleted"           // the registry no longer has the tag
	EventImageTooLarge   EventType = "system.image_analysis.size_limit" // a new image exceeds max_compressed_image_size_mb
	EventPlatformMissing EventType = "system.image_analysis.platform_missing"
	EventRegistryDown    EventType = "system.registry.unavailable"
	EventRegistryUp      EventType = "system.registry.available"
	// raised once for a credential that its registry refuses, until it is changed or
	// accepted again
	EventRegistryLoginFailed EventType = "system.registry.login_failed"
	EventEndpointPaused      EventType = "system.webhook.endpoint_paused"
	EventCauseParked         EventType = "system.notification.cause_parked"
	EventDeliveryParked      EventType = "system.webhook.delivery_parked"

	EventEndpointDead  EventType = "system.webhook.endpoint_dead"
	EventStoreFailing  EventType = "system.storage.failing"
	EventDiskFull      EventType = "system.storage.disk_full"
	EventKeyUnreadable EventType = "system.storage.key_unreadable"
	EventAnalysisDown  EventType = "system.image_analysis.workers_failing"
	eventWebhookTest   EventType = "system.webhook.test" // in the sample of a test; never stored
)

// Resource is what an event is about.
type Resource struct {
	Type string // image_tag, image_digest, image_reference, repository, registry, webhook, service
	ID   string // "" for none
}

// ToldBySubscription reports whether a subscription of its own tells of events of
// this type, so that they are not sent to the event_log webhook as well.
func (t EventType) ToldBySubscription() bool {
	return t == EventAnalysisCompleted || t == EventTagMoved
}

// Event is one entry of an account's event log.
type Event struct {
	ID       string // 32 hexadecimal digits
	Account  string
	Type     EventType
	Level    Level
	Message  string
	Details  map[string]any
	Resource Resource
	Service  string // the original's service name that raised it: catalog, analyzer, …
	At       time.Time
}

// Trouble is something that is wrong for a time, of which one event told when it
// began. The event's type and resource name it.
type Trouble struct {
	Type     EventType
	Resource string // its id
	Level    Level
	ToldAt   time.Time // by the last event
	OverAt   time.Time // zero while it stands
}

// Stands reports whether the trouble is not over.
func (t Trouble) Stands() bool { return t.OverAt.IsZero() }

// LookupFailure is the event of a registry that did not give what ref names, or
// gave something that cannot be read. The caller fills in the account.
func LookupFailure(ref Reference, cause error) Event {
	details := map[string]any{"msg": MessageOf(cause)}
	codes := CodesOf(cause)
	if len(codes) > 0 {
		details["error_codes"] = codes
	}
	e := Event{
		Type: EventRegistryLookupFailed, Level: Failure, Service: "catalog", Message: "Referenced image not found in registry",
		Resource: Resource{Type: "image_reference", ID: ref.String()}, Details: details,
	}
	if slices.Contains(codes, CodeManifestUnreadable) {
		e.Type, e.Message = EventManifestParseFailed, "Failed to parse image manifest for tag"
		e.Resource = Resource{Type: "image_tag", ID: ref.FullTag()}
	}
	return e
}
