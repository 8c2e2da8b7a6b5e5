package anchore

import "time"

// SamplePayload is a payload of the given type as a real one looks, for testing an
// endpoint: the tag, the digests and everything else in it are made up, but for
// baseURL, where this engine is reached. It is nil for a type that is never sent.
func SamplePayload(t SubscriptionType, account, notificationID, baseURL string, at time.Time) any {
	const (
		key    = DefaultRegistry + "/library/webhook-test:" + DefaultTag
		before = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
		after  = "sha256:0000000000000000000000000000000000000000000000000000000000000002"
	)
	why := Context{
		Summary: "This is a test: nothing has happened", Cause: "webhook test",
		DigestAfter: after, Platform: DefaultPlatform.String(), ImageURL: baseURL + "/v1/images/" + after,
	}
	switch t {
	case TagUpdate:
		why.DigestBefore = before
		return TagUpdatePayload{
			NotificationID: notificationID, UserID: account, SubscriptionKey: key, SubscriptionType: t,
			LastEval: []string{before}, CurrEval: []string{after}, Annotations: map[string]string{}, Context: why,
		}
	case AnalysisUpdate:
		eval := AnalysisEval{ImageDigest: after, AnalysisStatus: Analyzing, Annotations: map[string]string{}}
		p := AnalysisUpdatePayload{
			NotificationID: notificationID, UserID: account, SubscriptionKey: key, SubscriptionType: t,
			LastEval: eval, CurrEval: eval, Annotations: map[string]string{}, Context: why,
		}
		p.CurrEval.AnalysisStatus = Analyzed
		return p
	case PolicyEval:
		return map[string]any{
			"notificationId": notificationID, "userId": account, "subscription_key": key, "subscription_type": t, "annotations": map[string]string{},
			"last_eval": samplePolicy(account, key, after, "pass", "go", at), "curr_eval": samplePolicy(account, key, after, "fail", "stop", at),
			"summary": why.Summary, "cause": why.Cause, "digest_after": after,
		}
	case VulnUpdate:
		return map[string]any{
			"notificationId": notificationID, "userId": account, "subscription_key": key, "subscription_type": t, "annotations": map[string]string{},
			"imageDigest": after, "summary": why.Summary, "cause": why.Cause, "digest_after": after,
			"diff_vulnerability_result": map[string]any{"added": []any{sampleVulnerability()}, "updated": []any{}, "removed": []any{}},
		}
	case ErrorEvent, EventLog:
		return NewEventPayload(notificationID, Event{
			ID: "00000000000000000000000000000000", Account: account, Type: eventWebhookTest, Level: sampleLevel(t), Message: why.Summary,
			Resource: Resource{Type: "webhook", ID: string(t)}, Service: "catalog", At: at,
		}, "", baseURL)
	}
	return nil
}

func sampleLevel(t SubscriptionType) Level {
	if t == ErrorEvent {
		return Fatal
	}
	return Info
}

func samplePolicy(account, key, digest, status, action string, at time.Time) map[string]any {
	return map[string]any{
		"image_digest": digest, "status": status, "final_action": action, "final_action_reason": "policy_evaluation",
		"user_id": account, "image_id": digest[len("sha256:"):], "tag": key,
		"bundle": map[string]any{}, "result": map[string]any{}, "matched_mapping_rule": map[string]any{},
		"matched_whitelisted_images_rule": false, "matched_blacklisted_images_rule": false,
		"evaluation_problems": []any{}, "created_at": at.Unix(), "last_modified": at.Unix(),
	}
}

func sampleVulnerability() map[string]any {
	return map[string]any{
		"CVE_ID": "CVE-0000-0000", "Severity": "Negligible", "Vulnerable_Package": "webhook-test-1.0", "Fix_Available": "1.1",
		"URL": "https://example.com/CVE-0000-0000", "Package_Name": "webhook-test", "Package_Version": "1.0", "Package_Type": "APKG",
		"Feed": "vulnerabilities", "Feed_Group": "alpine:3.20",
	}
}
