package addition

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/intake"
)

func TestRead(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	alpine := anchore.Reference{Registry: "docker.io", Repository: "library/alpine", Tag: "3.13"}
	pinned := alpine
	pinned.Digest = digest
	half := 0.5
	june := time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		body string
		want intake.Request
		err  string
	}{
		{name: "tag", body: `{"tag":"alpine:3.13"}`, want: intake.Request{Ref: alpine}},
		{name: "tag with extras",
			body: `{"tag":"docker.io/alpine:3.13","dockerfile":"RlJPTSB4","annotations":{"k":"v","gone":null},"image_type":"docker","other":1}`,
			want: intake.Request{Ref: alpine, Dockerfile: "RlJPTSB4", Annotations: map[string]string{"k": "v", "gone": "null"}}},
		{name: "created_at without digest is ignored", body: `{"tag":"alpine:3.13","created_at":"x"}`, want: intake.Request{Ref: alpine}},
		{name: "bare digest", body: `{"tag":"alpine:3.13","digest":"` + digest + `","created_at":"2021-06-01T00:00:00Z"}`,
			want: intake.Request{Ref: pinned, CreatedAt: june}},
		{name: "full digest", body: `{"tag":"alpine:3.13","digest":"docker.io/library/alpine@` + digest + `"}`, want: intake.Request{Ref: pinned}},
		{name: "fraction", body: `{"tag":"alpine:3.13","digest":"` + digest + `","created_at":"2021-06-01T00:00:00.000001Z"}`,
			want: intake.Request{Ref: pinned, CreatedAt: june.Add(time.Microsecond)}},
		{name: "fraction after a colon", body: `{"tag":"alpine:3.13","digest":"` + digest + `","created_at":"2021-06-01T00:00:00:500000Z"}`,
			want: intake.Request{Ref: pinned, CreatedAt: june.Add(time.Second / 2)}},
		{name: "first time", body: `{"tag":"alpine:3.13","digest":"` + digest + `","created_at":"1678-01-01T00:00:00Z"}`,
			want: intake.Request{Ref: pinned, CreatedAt: time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{name: "last time", body: `{"tag":"alpine:3.13","digest":"` + digest + `","created_at":"2261-12-31T23:59:59.999999Z"}`,
			want: intake.Request{Ref: pinned, CreatedAt: time.Date(2261, 12, 31, 23, 59, 59, 999999000, time.UTC)}},
		{name: "epoch", body: `{"tag":"alpine:3.13","digest":"` + digest + `","created_at":"1970-01-01T00:00:00Z"}`,
			want: intake.Request{Ref: pinned, CreatedAt: time.Unix(0, 1).UTC()}},
		{name: "source tag", body: `{"source":{"tag":{"pullstring":"alpine:3.13","dockerfile":"RlJPTSB4"}},"annotations":{"k":"v"}}`,
			want: intake.Request{Ref: alpine, Dockerfile: "RlJPTSB4", Annotations: map[string]string{"k": "v"}}},
		{name: "source digest",
			body: `{"source":{"digest":{"pullstring":"alpine@` + digest + `","tag":"alpine:3.13","creation_timestamp_override":"2021-06-01T00:00:00Z"}}}`,
			want: intake.Request{Ref: pinned, CreatedAt: june}},
		{name: "platform", body: `{"tag":"alpine:3.13","platform":"linux/arm/v7"}`,
			want: intake.Request{Ref: alpine, Platform: anchore.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}}},
		{name: "largest size", body: `{"tag":"alpine:3.13","max_compressed_image_size_mb":0.5}`, want: intake.Request{Ref: alpine, MaxSizeMB: &half}},
		{name: "null source", body: `{"tag":"alpine:3.13","source":null}`, want: intake.Request{Ref: alpine}},

		{name: "nothing", body: `{}`, err: `Must include either "tag", "tag" and "digest", or "source" property in body`},
		{name: "digest alone", body: `{"digest":"` + digest + `"}`, err: "Could not validate request due to error"},
		{name: "source and tag", body: `{"tag":"alpine","source":{"tag":{"pullstring":"alpine"}}}`, err: "Cannot use both source property"},
		{name: "source and dockerfile", body: `{"dockerfile":"eA==","source":{"tag":{"pullstring":"alpine"}}}`, err: "Cannot use both source property"},
		{name: "empty source", body: `{"source":{}}`, err: "exactly one"},
		{name: "two sources", body: `{"source":{"tag":{"pullstring":"alpine"},"archive":{}}}`, err: "exactly one"},
		{name: "import and tag", body: `{"tag":"alpine","source":{"import":{}}}`, err: "Cannot use both source property"},
		{name: "digest as tag", body: `{"source":{"tag":{"pullstring":"alpine@` + digest + `"}}}`, err: "Must have tag-based pull string"},
		{name: "tag as digest", body: `{"source":{"digest":{"pullstring":"alpine:1","tag":"alpine:1"}}}`, err: "Must have digest-based pull string"},
		{name: "another repository", body: `{"tag":"alpine:1","digest":"busybox@` + digest + `"}`, err: "they must be of one"},
		{name: "bad date", body: `{"tag":"alpine:1","digest":"` + digest + `","created_at":"2021-06-01"}`, err: "Invalid formatted date"},
		{name: "zoned date", body: `{"tag":"alpine:1","digest":"` + digest + `","created_at":"2021-06-01T00:00:00+02:00"}`, err: "Invalid formatted date"},
		{name: "too early", body: `{"tag":"alpine:1","digest":"` + digest + `","created_at":"1677-12-31T23:59:59Z"}`, err: "must be from 1678-01-01T00:00:00Z to 2261-12-31T23:59:59Z"},
		{name: "too late", body: `{"source":{"digest":{"pullstring":"alpine@` + digest + `","tag":"alpine:1","creation_timestamp_override":"2262-01-01T00:00:00Z"}}}`,
			err: "must be from 1678-01-01T00:00:00Z to 2261-12-31T23:59:59Z"},
		{name: "no time", body: `{"tag":"alpine:1","digest":"` + digest + `","created_at":"0001-01-01T00:00:00Z"}`, err: "must be from 1678"},
		{name: "bad base64", body: `{"tag":"alpine","dockerfile":"abc"}`, err: "base64"},
		{name: "large dockerfile", body: `{"tag":"alpine","dockerfile":"` + strings.Repeat("AAAA", anchore.MaxDockerfile/3+1) + `"}`, err: "262144"},
		{name: "large dockerfile of a source", body: `{"source":{"tag":{"pullstring":"alpine","dockerfile":"` + strings.Repeat("AAAA", anchore.MaxDockerfile/3+1) + `"}}}`, err: "262144"},
		{name: "large annotations", body: `{"tag":"alpine","annotations":{"k":"` + strings.Repeat("<", 3000) + `"}}`, err: "16384"},
		{name: "number as annotation", body: `{"tag":"alpine","annotations":{"k":1}}`, err: "must be a text"},
		{name: "bad platform", body: `{"tag":"alpine","platform":"arm"}`, err: "is not a platform"},
		{name: "bad tag", body: `{"tag":"UPPER/case"}`, err: "is not a repository"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var body api.ImageRequest
			if err := json.Unmarshal([]byte(tt.body), &body); err != nil {
				t.Fatal(err)
			}
			got, err := Read(body)
			if tt.err != "" {
				if anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), tt.err) {
					t.Errorf("Read(%.200s) error = %v, want Invalid with %q", tt.body, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Read(%s): %v", tt.body, err)
			}
			if diff := cmp.Diff(&tt.want, got.Pull); diff != "" {
				t.Errorf("Read(%s) (-want +got):\n%s", tt.body, diff)
			}
		})
	}
}

func TestReadImport(t *testing.T) {
	digest, id := "sha256:"+strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	var body api.ImageRequest
	err := json.Unmarshal([]byte(`{"annotations":{"k":"v"},"source":{"import":{"operation_uuid":"u","digest":"`+digest+`","parent_digest":"`+digest+`",
		"local_image_id":"sha256:`+id+`","tags":["alpine:3","alpine"],"contents":{"packages":"p","manifest":"m","image_config":"c","dockerfile":"d","parent_manifest":null}}}}`), &body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(body)
	want := Addition{Import: &intake.ImportRequest{
		Import: "u", Digest: digest, ParentDigest: digest, ImageID: id, Annotations: map[string]string{"k": "v"},
		Tags: []anchore.Reference{
			{Registry: "docker.io", Repository: "library/alpine", Tag: "3"}, {Registry: "docker.io", Repository: "library/alpine", Tag: "latest"},
		},
		Contents: map[anchore.ImportPart]string{
			anchore.ImportPackages: "p", anchore.ImportManifest: "m", anchore.ImportImageConfig: "c", anchore.ImportDockerfile: "d", anchore.ImportParentManifest: "",
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Read: %v (-want +got):\n%s", err, diff)
	}
	body.Source.Import.Tags[1] = "alpine@" + digest
	if _, err := Read(body); anchore.KindOf(err) != anchore.Invalid || !strings.Contains(anchore.MessageOf(err), "Must have tag-based pull string") {
		t.Errorf("Read with a digest as tag: %v", err)
	}
}

func TestReadArchive(t *testing.T) {
	var body api.ImageRequest
	if err := json.Unmarshal([]byte(`{"annotations":{"k":null},"source":{"archive":{"digest":"d"}}}`), &body); err != nil {
		t.Fatal(err)
	}
	got, err := Read(body)
	want := Addition{Restore: &Restoration{Digest: "d", Annotations: map[string]string{"k": "null"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Read: %v (-want +got):\n%s", err, diff)
	}
}

func FuzzCreationTime(f *testing.F) {
	f.Add("2021-06-01T00:00:00Z")
	f.Add("2021-06-01T00:00:00:500000Z")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := creationTime(&s)
		if err == nil && s != "" && (got.Location() != time.UTC || got.Year() < firstYear || got.Year() >= endYear || got.UnixNano() == 0) {
			t.Errorf("creationTime(%q) = %v", s, got)
		}
	})
}
