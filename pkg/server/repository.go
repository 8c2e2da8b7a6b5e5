package server

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// AddRepository makes a repository watched, or says what that would add.
func (s *Server) AddRepository(w http.ResponseWriter, r *http.Request, params api.AddRepositoryParams) {
	ref, err := anchore.ParseRepository(params.Repository)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	watch := anchore.RepositoryWatch{
		AutoSubscribe: rest.Given(params.Autosubscribe), LookupTag: cmp.Or(rest.Given(params.Lookuptag), anchore.DefaultTag),
		Tags: patterns(rest.Given(params.Tags)), MaxTags: anchore.DefaultMaxTags, ExcludeExisting: rest.Given(params.ExcludeExisting),
	}
	if params.MaxTags != nil {
		watch.MaxTags = *params.MaxTags
	}
	if rest.Given(params.All) {
		watch.MaxTags = 0
	}
	added, err := s.cfg.Intake.AddRepository(r.Context(), intake.RepositoryRequest{
		Account: account(r), Ref: ref, Watch: watch, DryRun: rest.Given(params.Dryrun),
	})
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	record, err := repositoryRecord(added)
	s.Send(w, r, []api.RepositorySubscription{record}, err)
}

// patterns divides texts at their commas. A range takes the rest of its text, since
// commas are part of it.
func patterns(texts []string) []string {
	var list []string
	for _, rest := range texts {
		for rest = strings.TrimSpace(rest); rest != ""; {
			part := rest
			if !strings.ContainsAny(rest[:1], "<>=!^~") {
				part, _, _ = strings.Cut(rest, ",")
			}
			rest = strings.TrimSpace(strings.TrimPrefix(rest[len(part):], ","))
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}

// repositoryRecord is the original's record, whose value also has what the
// registry's list said.
func repositoryRecord(added intake.RepositoryAddition) (api.RepositorySubscription, error) {
	sub := added.Subscription
	record := api.RepositorySubscription{
		Active: sub.Active, RecordStateKey: "active", SubscriptionID: sub.ID(), SubscriptionKey: sub.Key,
		SubscriptionType: api.SubscriptionType(sub.Type), UserID: sub.Account,
	}
	if !sub.CreatedAt.IsZero() {
		created, updated := sub.CreatedAt.Unix(), sub.UpdatedAt.Unix()
		record.CreatedAt, record.LastUpdated = &created, &updated
	}
	want, err := anchore.ParseRepositoryWatch(sub.Value)
	if err != nil {
		return record, err
	}
	record.SubscriptionValue, err = anchore.RepositoryValue(sub.Value, want, map[string]any{
		"repotags": listed(added.Tags), "tagcount": len(added.Tags), "matching": added.Matching, "add": listed(added.Add),
	})
	return record, err
}

// listed is list, never null.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
