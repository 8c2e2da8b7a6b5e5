package server

import (
	"net/http"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// requireMember answers requests of others than administrators and the users of
// the account, and returns false. The answer is the same for an account that does
// not exist.
func (s *Server) requireMember(w http.ResponseWriter, r *http.Request, account, action string) bool {
	c := callerOf(r)
	if c.admin || c.home.Name == account {
		return true
	}
	s.Fail(w, r, anchore.E(anchore.Forbidden, "server.requireMember", "Not authorized. Requires permissions: domain=%s action=%s target=*", account, action))
	return false
}

func accountRecord(a anchore.Account) api.Account {
	return api.Account{
		Name: a.Name, Type: api.AccountType(a.Type), State: api.AccountState(a.State), Email: rest.TextOrNull(a.Email),
		CreatedAt: rest.RecordTime(a.CreatedAt), LastUpdated: rest.RecordTime(a.UpdatedAt),
	}
}

func userRecord(u anchore.User) api.User {
	return api.User{
		Username: u.Name, Type: api.UserTypeNative,
		CreatedAt: rest.RecordTime(u.CreatedAt), LastUpdated: rest.RecordTime(u.UpdatedAt),
	}
}

// badName is the original's answer where a name is taken: 400.
func (s *Server) badName(w http.ResponseWriter, r *http.Request, err error) {
	if anchore.KindOf(err) == anchore.Conflict {
		s.FailAs(w, r, http.StatusBadRequest, err)
		return
	}
	s.Fail(w, r, err)
}

// ListAccounts answers with all accounts.
func (s *Server) ListAccounts(w http.ResponseWriter, r *http.Request, params api.ListAccountsParams) {
	if !s.requireAdmin(w, r, "listAccounts") {
		return
	}
	accounts, err := s.cfg.Catalog.Accounts(r.Context(), anchore.AccountState(rest.Given(params.State)))
	list := []api.Account{}
	for _, a := range accounts {
		list = append(list, accountRecord(a))
	}
	s.Send(w, r, list, err)
}

// AddAccount makes an account.
func (s *Server) AddAccount(w http.ResponseWriter, r *http.Request) {
	if !s.requireAdmin(w, r, "createAccount") {
		return
	}
	body, err := rest.Decode[api.AccountRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	a, err := s.cfg.Catalog.AddAccount(r.Context(), body.Name, rest.Given(body.Email))
	if err != nil {
		s.badName(w, r, err)
		return
	}
	s.Write(w, r, http.StatusOK, accountRecord(a))
}

// GetAccountByName answers with one account.
func (s *Server) GetAccountByName(w http.ResponseWriter, r *http.Request, name api.AccountName) {
	if !s.requireMember(w, r, name, "getAccount") {
		return
	}
	a, err := s.cfg.Catalog.Account(r.Context(), name)
	s.Send(w, r, accountRecord(a), err)
}

// SetAccountState enables or disables an account.
func (s *Server) SetAccountState(w http.ResponseWriter, r *http.Request, name api.AccountName) {
	if !s.requireAdmin(w, r, "updateAccountState") {
		return
	}
	body, err := rest.Decode[api.AccountStateRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.Send(w, r, body, s.cfg.Catalog.SetAccountState(r.Context(), name, anchore.AccountState(body.State)))
}

// DeleteAccount deletes a disabled account.
func (s *Server) DeleteAccount(w http.ResponseWriter, r *http.Request, name api.AccountName) {
	if !s.requireAdmin(w, r, "deleteAccount") {
		return
	}
	s.Send(w, r, api.AccountDeletion{State: api.AccountDeletionStateDeleting}, s.cfg.Catalog.DeleteAccount(r.Context(), name))
}

// ListUsers answers with the users of an account.
func (s *Server) ListUsers(w http.ResponseWriter, r *http.Request, name api.AccountName) {
	if !s.requireMember(w, r, name, "listUsers") {
		return
	}
	users, err := s.cfg.Catalog.Users(r.Context(), name)
	list := []api.User{}
	for _, u := range users {
		list = append(list, userRecord(u))
	}
	s.Send(w, r, list, err)
}

// AddUser makes a user of an account.
func (s *Server) AddUser(w http.ResponseWriter, r *http.Request, name api.AccountName) {
	if !s.requireMember(w, r, name, "createUser") {
		return
	}
	body, err := rest.Decode[api.UserRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	u, err := s.cfg.Catalog.AddUser(r.Context(), name, body.Username, anchore.Secret(body.Password))
	if err != nil {
		s.badName(w, r, err)
		return
	}
	s.Write(w, r, http.StatusOK, userRecord(u))
}

// GetUserByName answers with one user of an account.
func (s *Server) GetUserByName(w http.ResponseWriter, r *http.Request, name api.AccountName, user api.UserName) {
	if !s.requireMember(w, r, name, "getUser") {
		return
	}
	u, err := s.cfg.Catalog.AccountUser(r.Context(), name, user)
	s.Send(w, r, userRecord(u), err)
}

// DeleteUser deletes a user of an account, but not the one who asks for it.
func (s *Server) DeleteUser(w http.ResponseWriter, r *http.Request, name api.AccountName, user api.UserName) {
	if !s.requireMember(w, r, name, "deleteUser") || !s.notOneself(w, r, user) {
		return
	}
	s.SendNothing(w, r, s.cfg.Catalog.DeleteUser(r.Context(), name, user))
}

// notOneself answers requests that would lock their own user out, and returns false.
func (s *Server) notOneself(w http.ResponseWriter, r *http.Request, user string) bool {
	if callerOf(r).user.Name != user {
		return true
	}
	s.Fail(w, r, anchore.E(anchore.Invalid, "server.notOneself", "the user %s cannot be deleted, or left without a password, by a request of its own", user))
	return false
}

// hiddenPassword stands for every password, whatever its length.
const hiddenPassword = "******"

func (s *Server) sendCredentials(w http.ResponseWriter, r *http.Request, u anchore.User, err error) {
	list := api.CredentialList{}
	if !u.Password.IsZero() {
		list = append(list, api.Credential{Type: api.CredentialTypePassword, Value: hiddenPassword, CreatedAt: rest.RecordTime(u.Password)})
	}
	s.Send(w, r, list, err)
}

// setPassword gives a user of an account the password in the body.
func (s *Server) setPassword(w http.ResponseWriter, r *http.Request, account, user string) {
	body, err := rest.Decode[api.CredentialRequest](r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	u, err := s.cfg.Catalog.SetPassword(r.Context(), account, user, anchore.Secret(body.Value))
	s.Send(w, r, userRecord(u), err)
}

// ListCredentials answers with the credentials of a user of an account.
func (s *Server) ListCredentials(w http.ResponseWriter, r *http.Request, name api.AccountName, user api.UserName) {
	if !s.requireMember(w, r, name, "listUserCredentials") {
		return
	}
	u, err := s.cfg.Catalog.AccountUser(r.Context(), name, user)
	s.sendCredentials(w, r, u, err)
}

// SetCredential changes the password of a user of an account.
func (s *Server) SetCredential(w http.ResponseWriter, r *http.Request, name api.AccountName, user api.UserName) {
	if s.requireMember(w, r, name, "createUserCredential") {
		s.setPassword(w, r, name, user)
	}
}

// DeleteCredential removes the password of a user of an account.
func (s *Server) DeleteCredential(w http.ResponseWriter, r *http.Request, name api.AccountName, user api.UserName, _ api.DeleteCredentialParams) {
	if !s.requireMember(w, r, name, "deleteUserCredential") || !s.notOneself(w, r, user) {
		return
	}
	s.SendNothing(w, r, s.cfg.Catalog.RemovePassword(r.Context(), name, user))
}

// ListOwnCredentials answers with the credentials of the user who makes the request.
func (s *Server) ListOwnCredentials(w http.ResponseWriter, r *http.Request) {
	u := callerOf(r).user
	s.sendCredentials(w, r, u, nil)
}

// SetOwnCredential changes the password of the user who makes the request.
func (s *Server) SetOwnCredential(w http.ResponseWriter, r *http.Request) {
	c := callerOf(r)
	s.setPassword(w, r, c.home.Name, c.user.Name)
}
