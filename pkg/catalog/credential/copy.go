package credential

import (
	"sync"

	"github.com/anchore/anchore-engine/pkg/anchore"
)

// Copy is a copy of the accounts' credentials with their passwords, since
// one is wanted for each request to a registry. The zero Copy is empty.
type Copy struct {
	mu    sync.RWMutex
	lists map[string][]anchore.Registry // by account, as anchore.ForReference wants them
}

// list returns the account's credentials, from read the first time.
func (s *Copy) list(account string, read func() ([]anchore.Registry, error)) ([]anchore.Registry, error) {
	s.mu.RLock()
	list, ok := s.lists[account]
	s.mu.RUnlock()
	if ok {
		return list, nil
	}
	// Read under the lock: Forget, which follows each change, waits for it, so that
	// nothing older than the change stays.
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := read()
	if err != nil {
		return nil, err
	}
	anchore.SortRegistries(list)
	if s.lists == nil {
		s.lists = map[string][]anchore.Registry{}
	}
	s.lists[account] = list
	return list, nil
}

// Forget drops the copy of the account's credentials, which were changed.
func (s *Copy) Forget(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lists, account)
}
