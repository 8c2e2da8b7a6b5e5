package anchore

import "testing"

func TestLookupFailure(t *testing.T) {
	ref := Reference{Registry: "r.io", Repository: "app", Tag: "1"}
	for _, tt := range []struct {
		cause    error
		typ      EventType
		resource string
	}{
		{E(NotFound, "x", "none").WithCodes(CodeImageNotFound), EventRegistryLookupFailed, "image_reference"},
		{E(Invalid, "x", "no image for the platform").WithCodes(CodePlatformMissing), EventRegistryLookupFailed, "image_reference"},
		{E(Invalid, "x", "cannot be read").WithCodes(CodeManifestUnreadable), EventManifestParseFailed, "image_tag"},
		{E(Invalid, "x", "no codes"), EventRegistryLookupFailed, "image_reference"},
	} {
		e := LookupFailure(ref, tt.cause)
		if e.Type != tt.typ || e.Resource != (Resource{Type: tt.resource, ID: "r.io/app:1"}) || e.Level != Failure || e.Details["msg"] != MessageOf(tt.cause) {
			t.Errorf("LookupFailure(%v) = %+v, want %s of %s", tt.cause, e, tt.typ, tt.resource)
		}
	}
}

func TestEventsToldBySubscription(t *testing.T) {
	told := 0
	for _, k := range EventKinds() {
		if k.Type.ToldBySubscription() {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d types of events are told by subscriptions, want 2", told)
	}
}
