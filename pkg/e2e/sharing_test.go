package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/anchore/anchore-engine/pkg/oci/ocitest"
)

// TestAccountsShareATag has two accounts with the same credential and a third one
// without any: the registry is asked and the image analyzed once for the two, each is
// told for itself, and the third gets nothing.
func TestAccountsShareATag(t *testing.T) {
	t.Parallel()
	const password = "correct-horse"
	reg := registry{ocitest.StartWith(t, ocitest.Config{Auth: ocitest.Token, User: "puller", Password: password})}
	recv := newReceiver(t)
	e := startEngine(t, watching+general(recv))
	ref := reg.ref("shared/app", "v1")
	before, after := ocitest.Image(ocitest.Spec{Version: "1"}), ocitest.Image(ocitest.Spec{Version: "2"})
	reg.put(t, ref, before)
	accounts := map[string]*engine{"alice": e.as("alice"), "bob": e.as("bob")}
	for _, account := range accounts {
		account.mustCLI("registry", "add", reg.Host(), "puller", password)
		account.mustCLI("image", "add", ref)
	}
	stranger := e.as("stranger")
	if r := stranger.cli("image", "add", ref); r.Code == 0 {
		t.Errorf("an account without a credential added the image:\n%s", r.Stdout)
	}
	stranger.subscribe("tag_update", ref)
	stranger.subscribe("analysis_update", ref)
	for name := range accounts {
		recv.wait(t, 1, "the analysis_update of "+name, toldTo(name, "analysis_update", ref))
	}
	reg.put(t, ref, after)
	for name := range accounts {
		recv.wait(t, 1, "the tag_update of "+name, toldTo(name, "tag_update", ref))
		recv.wait(t, 2, "the second analysis_update of "+name, toldTo(name, "analysis_update", ref))
	}

	ids := map[string]bool{}
	for _, d := range recv.deliveries(func(delivery) bool { return true }) {
		p := d.payload()
		ids[p.NotificationID] = true
		if accounts[p.UserID] == nil || d.Envelope.UserID != p.UserID || d.Path != "/general/"+d.kind()+"/"+p.UserID {
			t.Errorf("sent to %s: %s", d.Path, d.Raw)
		}
		if d.kind() == "tag_update" && (p.DigestBefore != before.Digest || p.DigestAfter != after.Digest) {
			t.Errorf("%s was told of a move from %s to %s, want %s to %s", p.UserID, p.DigestBefore, p.DigestAfter, before.Digest, after.Digest)
		}
	}
	if len(ids) != 6 {
		t.Errorf("%d notifications, want a move and two analyses for each of two accounts", len(ids))
	}
	for _, layer := range append(layers(t, before), layers(t, after)...) {
		if n := reg.Requests("GET", "/blobs/"+layer); n != 1 {
			t.Errorf("layer %s was fetched %d times, want once for both accounts", layer, n)
		}
	}
	if n := strings.Count(e.log.String(), `msg="image analyzed"`); n != 2 {
		t.Errorf("%d analyses, want one of each image; the engine's log:\n%s", n, e.log)
	}
	waitFor(t, "the event of the stranger's look", func() bool {
		return len(stranger.events("system.image_analysis.registry_lookup_failed", ref)) > 1 // image add raised one
	})
	stranger.mustCLI("subscription", "deactivate", "tag_update", ref)
	if status, raw := stranger.call(http.MethodGet, "/images/"+before.Digest, nil, nil); status != http.StatusNotFound {
		t.Errorf("the account without a credential asked for the image: %d %s", status, raw)
	}
	if list := stranger.mustCLI("image", "list"); strings.Contains(list, "sha256:") {
		t.Errorf("image list of the account without a credential:\n%s", list)
	}
	checkOneLook(t, reg, ref, accounts["alice"])
}

// checkOneLook counts the looks at a tag beside those at one that a single account
// watches: both are looked at once in a cycle.
func checkOneLook(t *testing.T, reg registry, ref string, account *engine) {
	t.Helper()
	single := reg.ref("single/app", "v1")
	reg.push(t, single, "1")
	account.mustCLI("image", "add", single)
	reg.waitLooks(t, single, 1)
	looks := func() (shared, alone int) {
		counts := reg.Counts(http.MethodHead)
		return counts[reg.path(ref)+"manifests/v1"], counts[reg.path(single)+"manifests/v1"]
	}
	shared, alone := looks()
	reg.waitLooks(t, single, 3)
	sharedNow, aloneNow := looks()
	shared, alone = sharedNow-shared, aloneNow-alone
	if shared < alone-1 || shared > alone+1 { // the two have different places in the cycle
		t.Errorf("%d looks in %d cycles at a tag of two accounts", shared, alone)
	}
}

// toldTo selects deliveries to an account by type and key.
func toldTo(account, kind, key string) func(delivery) bool {
	return func(d delivery) bool { return of(kind, key)(d) && d.payload().UserID == account }
}
