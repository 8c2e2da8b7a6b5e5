package credential

import (
	"sync"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Copy is a copy of the accounts' credentials, since one is wanted for each request
// to a registry. It is kept by the accounts' numbers: a name may be another account's
// tomorrow. The zero Copy is empty.
type Copy struct {
	mu  sync.RWMutex
	all map[uint32]credentials // by account
}

// credentials are those of one account.
type credentials struct {
	list []anchore.Registry // without passwords, as anchore.ForReference wants them
	// open returns one by its name with its password, which is decrypted the first
	// time: one that cannot be must not keep the others from use.
	open map[string]func() (anchore.Registry, error)
}

// of returns the account's credentials, from read the first time.
func (s *Copy) of(account uint32, read func() (credentials, error)) (credentials, error) {
	s.mu.RLock()
	all, ok := s.all[account]
	s.mu.RUnlock()
	if ok {
		return all, nil
	}
	// Read under the lock: Forget, which follows each change, waits for it, so that
	// nothing older than the change stays.
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := read()
	if err != nil {
		return credentials{}, err
	}
	anchore.SortRegistries(all.list)
	if s.all == nil {
		s.all = map[uint32]credentials{}
	}
	s.all[account] = all
	return all, nil
}

// Forget drops the copy of the account's credentials, which were changed.
func (s *Copy) Forget(account uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, account)
}
