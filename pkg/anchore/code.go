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
