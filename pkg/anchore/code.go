package anchore

// The original's error codes: labels in the API's detail.error_codes that scripts
// look for.
const (
	CodePermissionDenied = "REGISTRY_PERMISSION_DENIED"
	CodeImageNotFound    = "REGISTRY_IMAGE_NOT_FOUND"
	CodeNotAccessible    = "REGISTRY_NOT_ACCESSIBLE"
	CodeNotSupported     = "REGISTRY_NOT_SUPPORTED"
	CodePlatformMissing  = "OSARCH_MISMATCH"
)

// Codes that the original had not.
const (
	CodeManifestUnreadable = "MANIFEST_UNREADABLE"
)

// Code is a name in the API's detail.error_codes, with what it means.
type Code struct{ Name, Description string }

// Codes returns every code that errors carry, by name.
func Codes() []Code {
	return []Code{
		{CodeManifestUnreadable, "What the registry answered is no image manifest, index or configuration that can be read"},
		{CodePlatformMissing, "The tag names an index that holds no image for the configured operating system and architecture"},
		{CodeImageNotFound, "The registry does not have the image, tag or repository"},
		{CodeNotAccessible, "The registry cannot be reached, allows no more requests for now, or does not answer as a registry"},
		{CodeNotSupported, "The registry does not speak the protocol that is needed"},
		{CodePermissionDenied, "The registry does not let the user, or anonymous users, read the repository"},
	}
}
