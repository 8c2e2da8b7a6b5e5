package anchore

import (
	"encoding/json"
	"maps"
	"slices"
)

// DefaultMaxTags is how many of a repository's tags a watch takes at first unless
// it is told otherwise: whoever adds a large repository would fetch thousands.
const DefaultMaxTags = 50

// RepositoryWatch is what a repo_update wants of a repository. It is the JSON
// object in the subscription's value; its keys autosubscribe, lookuptag and
// tagcount are the original's.
type RepositoryWatch struct {
	AutoSubscribe   bool     `json:"autosubscribe"`              // tag_update of the tags that it adds is active
	LookupTag       string   `json:"lookuptag"`                  // the tag that is taken before all others
	Tags            []string `json:"tags,omitempty"`             // globs and version ranges, any of which a tag must match; none: all tags
	MaxTags         int      `json:"max_tags"`                   // of the tags that are there at first, and of the new ones that one look takes; 0: any number
	ExcludeExisting bool     `json:"exclude_existing,omitempty"` // take none of the tags that are there at first
}

// ParseRepositoryWatch reads the value of a repo_update. What the value does not
// say is as the original has it, with DefaultMaxTags; other keys are passed over.
// The text "" is an empty object. Errors: Invalid.
func ParseRepositoryWatch(value string) (RepositoryWatch, error) {
	const op = "anchore.ParseRepositoryWatch"
	w := RepositoryWatch{LookupTag: DefaultTag, MaxTags: DefaultMaxTags}
	if value == "" {
		return w, nil
	}
	if err := json.Unmarshal([]byte(value), &w); err != nil {
		return w, E(Invalid, op, `subscription_value of a repo_update: "autosubscribe" and "exclude_existing" are true or false, "lookuptag" a text, "tags" a list of texts, "max_tags" a number; got %.200q`, value).Because(err)
	}
	if w.MaxTags < 0 {
		return w, E(Invalid, op, `subscription_value of a repo_update: "max_tags" is %d; give 0 for any number of tags, or more`, w.MaxTags)
	}
	if w.LookupTag == "" {
		w.LookupTag = DefaultTag
	}
	return w, nil
}

// SameTags reports whether w and o take the same tags of any repository.
func (w RepositoryWatch) SameTags(o RepositoryWatch) bool {
	return slices.Equal(w.Tags, o.Tags) && w.MaxTags == o.MaxTags && w.ExcludeExisting == o.ExcludeExisting && w.LookupTag == o.LookupTag
}

// RepositoryValue writes w into a value, "" or a JSON object whose other keys
// stay, together with more.
func RepositoryValue(value string, w RepositoryWatch, more map[string]any) (string, error) {
	doc := map[string]any{}
	if value != "" {
		if err := json.Unmarshal([]byte(value), &doc); err != nil {
			return "", E(Invalid, "anchore.RepositoryValue", "subscription_value of a repo_update must be a JSON object").Because(err)
		}
	}
	raw, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	for _, key := range []string{"tags", "exclude_existing"} {
		delete(doc, key) // left out of raw where they are empty
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", err
	}
	maps.Copy(doc, more)
	raw, err = json.Marshal(doc)
	return string(raw), err
}
