package anchore

// EventKind describes a type of event, for people who choose what to listen to.
type EventKind struct {
	Type     EventType
	Level    Level
	Resource string // the type of the resource that it is about
	Message  string
}

// EventKinds returns every type of event that the engine raises, by type.
func EventKinds() []EventKind {
	return []EventKind{
		{EventArchivedImageDeleted, Info, "image_digest", "Archived image analysis deleted"},
		{EventImageArchived, Info, "image_digest", "Analyzed image added to archive"},
		{EventManifestParseFailed, Failure, "image_tag", "Failed to parse image manifest for tag"},
		{EventPlatformMissing, Failure, "image_tag", "Image has no manifest for the configured platform"},
		{EventRegistryLookupFailed, Failure, "image_reference", "Referenced image not found in registry"},
		{EventImageRestored, Info, "image_digest", "Archived image restored to active images"},
		{EventImageTooLarge, Failure, "image_tag", "Image is larger than the configured limit"},
		{EventAnalysisDown, Fatal, "service", "Image analyses fail repeatedly for reasons of the engine"},
		{EventCauseParked, Fatal, "service", "The notifications of a change could not be written; the change was set aside"},
		{EventRegistryUp, Info, "registry", "Registry answers again"},
		{EventRegistryLoginFailed, Failure, "registry", "Registry does not accept the credential"},
		{EventRegistryDown, Failure, "registry", "Registry does not answer; its tags are not watched until it does"},
		{EventListTagsFailed, Failure, "repository", "Failed to list tags in repository"},
		{EventDiskFull, Fatal, "service", "The data directory has hardly any space left"},
		{EventStoreFailing, Fatal, "service", "The store does not take changes"},
		{EventKeyUnreadable, Fatal, "service", "The key of the stored secrets cannot be read"},
		{EventDeliveryParked, Failure, "webhook", "Notification could not be delivered and was parked"},
		{EventEndpointDead, Fatal, "webhook", "Webhook endpoint has not taken anything for a long time"},
		{EventEndpointPaused, Failure, "webhook", "Webhook endpoint answered 410 Gone and is sent nothing more"},
		{EventAnalysisCompleted, Info, "image_tag", "Image analysis available"},
		{EventAnalysisFailed, Failure, "image_tag", "Failed to analyze image"},
		{EventTagDeleted, Failure, "image_tag", "Tag no longer exists in the registry"},
		{EventTagMoved, Info, "image_tag", "Tag names another image"},
	}
}

// EventCategory returns what the first one or two words of a type stand for, ""
// if they stand for nothing: "system", "system.webhook".
func EventCategory(prefix string) string {
	switch prefix {
	case "system":
		return "Events about the engine itself and what it works with"
	case "user":
		return "Events that follow from what users added and subscribed to"
	case "system.analysis_archive":
		return "Keeping analyses beside the images in use"
	case "system.image_analysis":
		return "Fetching and analyzing images"
	case "system.notification":
		return "Writing notifications"
	case "system.registry":
		return "Whether registries answer, and accept the credentials"
	case "system.repository":
		return "Listing the tags of repositories"
	case "system.storage":
		return "The engine's own data"
	case "system.webhook":
		return "Sending notifications to webhooks"
	case "user.image":
		return "Images and tags that an account added"
	}
	return ""
}
