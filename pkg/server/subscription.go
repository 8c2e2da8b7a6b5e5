package server

import (
	"context"
	"net/http"
	"time"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/intake"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// Look is what the watchers know of a tag or repository. Zero times: there is
// none.
type Look struct {
	Last   time.Time // when the registry was last asked
	Change time.Time // when the tag was last seen to name another image
	Next   time.Time // when the registry will be asked again
	Error  string    // why the last look failed, "" if it did not
}

// ListSubscriptions answers with the account's subscriptions: a page if a limit is
// given, else all.
func (s *Server) ListSubscriptions(w http.ResponseWriter, r *http.Request, params api.ListSubscriptionsParams) {
	filter := catalog.SubscriptionFilter{Key: rest.Given(params.SubscriptionKey), Type: rest.Given(params.SubscriptionType)}
	after, err := rest.ReadCursor(rest.Given(params.Page))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	if rest.Given(params.Limit) == 0 {
		s.listAllSubscriptions(w, r, filter, after, rest.Given(params.Detail))
		return
	}
	subs, next, err := s.cfg.Catalog.Subscriptions(r.Context(), account(r), filter, after, rest.Given(params.Limit))
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	rest.SetCursor(w, next)
	list, err := s.subscriptions(r.Context(), account(r), subs, rest.Given(params.Detail))
	s.Send(w, r, list, err)
}

// subscriptionsAtOnce is how many subscriptions are in memory while all are listed.
const subscriptionsAtOnce = 5000

func (s *Server) listAllSubscriptions(w http.ResponseWriter, r *http.Request, filter catalog.SubscriptionFilter, after string, detail bool) {
	out := s.List(w, r)
	status, err := s.statuses(r.Context(), account(r), detail)
	for err == nil {
		var subs []anchore.Subscription
		if subs, after, err = s.cfg.Catalog.Subscriptions(r.Context(), account(r), filter, after, subscriptionsAtOnce); err != nil {
			break
		}
		for _, sub := range subs {
			record := subscriptionRecord(sub, status)
			if err = out.Add(&record); err != nil {
				break
			}
		}
		if err == nil && after == "" {
			out.End()
			return
		}
	}
	out.Fail(err)
}

// AddSubscription stores a subscription, or answers with the one there is.
func (s *Server) AddSubscription(w http.ResponseWriter, r *http.Request) {
	body, err := rest.Decode[api.SubscriptionRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	sub := anchore.Subscription{
		Account: account(r), Key: body.SubscriptionKey, Type: anchore.SubscriptionType(body.SubscriptionType),
		Active: rest.Given(body.Active), Value: rest.Given(body.SubscriptionValue),
	}
	if err = checkWatch(sub); err == nil {
		sub, _, err = s.cfg.Catalog.AddSubscription(r.Context(), sub)
	}
	s.sendSubscription(w, r, sub, false, err)
}

// checkWatch refuses the value of a repo_update that AddRepository would refuse: the
// catalog does not know the patterns of tags. Errors: Invalid.
func checkWatch(sub anchore.Subscription) error {
	if sub.Type != anchore.RepoUpdate {
		return nil
	}
	watch, err := anchore.ParseRepositoryWatch(sub.Value)
	if err != nil {
		return err
	}
	return intake.CheckWatch(watch)
}

// GetSubscription answers with one subscription, in a list.
func (s *Server) GetSubscription(w http.ResponseWriter, r *http.Request, id string, params api.GetSubscriptionParams) {
	sub, err := s.cfg.Catalog.Subscription(r.Context(), account(r), id)
	s.sendSubscription(w, r, sub, rest.Given(params.Detail), err)
}

// UpdateSubscription switches a subscription on or off, or sets its value.
func (s *Server) UpdateSubscription(w http.ResponseWriter, r *http.Request, id string) {
	body, err := rest.Decode[subscriptionUpdate](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	update := catalog.SubscriptionUpdate{
		Active: body.Active, Value: body.Value.Given(),
		Key: rest.Given(body.SubscriptionKey), Type: rest.Given(body.SubscriptionType),
	}
	sub, err := s.cfg.Catalog.Subscription(r.Context(), account(r), id) // its type does not change
	if err == nil && update.Value != nil {
		sub.Value = *update.Value
		err = checkWatch(sub)
	}
	if err == nil {
		sub, err = s.cfg.Catalog.UpdateSubscription(r.Context(), account(r), id, update)
	}
	s.sendSubscription(w, r, sub, false, err)
}

// DeleteSubscription deletes a subscription.
func (s *Server) DeleteSubscription(w http.ResponseWriter, r *http.Request, id string) {
	s.Send(w, r, true, s.cfg.Catalog.DeleteSubscription(r.Context(), account(r), id))
}

func (s *Server) sendSubscription(w http.ResponseWriter, r *http.Request, sub anchore.Subscription, detail bool, err error) {
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	list, err := s.subscriptions(r.Context(), account(r), []anchore.Subscription{sub}, detail)
	s.Send(w, r, list, err)
}

func (s *Server) subscriptions(ctx context.Context, account string, subs []anchore.Subscription, detail bool) ([]api.Subscription, error) {
	status, err := s.statuses(ctx, account, detail)
	if err != nil {
		return nil, err
	}
	list := make([]api.Subscription, 0, len(subs))
	for _, sub := range subs {
		list = append(list, subscriptionRecord(sub, status))
	}
	return list, nil
}

// statuses returns what tells the status of a subscription; nil unless detail is
// asked for.
func (s *Server) statuses(ctx context.Context, account string, detail bool) (func(anchore.Subscription) *api.SubscriptionStatus, error) {
	if !detail {
		return nil, nil
	}
	look, err := s.looks(ctx, account)
	if err != nil {
		return nil, err
	}
	return func(sub anchore.Subscription) *api.SubscriptionStatus { return lookStatus(look(sub)) }, nil
}

func subscriptionRecord(sub anchore.Subscription, status func(anchore.Subscription) *api.SubscriptionStatus) api.Subscription {
	record := api.Subscription{
		SubscriptionID: sub.ID(), SubscriptionKey: sub.Key, SubscriptionType: api.SubscriptionType(sub.Type),
		SubscriptionValue: rest.TextOrNull(sub.Value), Active: sub.Active, UserID: sub.Account,
		CreatedAt: sub.CreatedAt.Unix(), LastUpdated: sub.UpdatedAt.Unix(),
	}
	if status != nil {
		record.Status = status(sub)
	}
	return record
}

func (s *Server) looks(ctx context.Context, account string) (func(anchore.Subscription) Look, error) {
	if s.cfg.Looks == nil {
		return func(anchore.Subscription) Look { return Look{} }, nil
	}
	return s.cfg.Looks(ctx, account)
}

func lookStatus(look Look) *api.SubscriptionStatus {
	return &api.SubscriptionStatus{
		LastLook: rest.SecondsOrNull(look.Last), LastChange: rest.SecondsOrNull(look.Change),
		NextLook: rest.SecondsOrNull(look.Next), LastError: rest.TextOrNull(look.Error),
	}
}

// subscriptionUpdate is the body of a change. A value of null takes the value away,
// and one that is absent leaves it.
type subscriptionUpdate struct {
	api.SubscriptionUpdate
	Value rest.OptionalText `json:"subscription_value"`
}
