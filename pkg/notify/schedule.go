package notify

import "time"

const (
	backoffBase = time.Second     // before the second attempt
	backoffCap  = time.Hour       // between two attempts of one delivery
	holdAfter   = 3               // failures in a row after which an endpoint is held
	holdCap     = 5 * time.Minute // between two attempts to an endpoint that fails
	holdOnce    = 24 * time.Hour  // for which it may ask at most if each delivery is tried once
)

// schedule decides when deliveries are tried again.
type schedule struct {
	horizon time.Duration // from a notification's creation to its last attempt; less than 0 tries each once
}

// next returns how long to wait after an attempt, numbered from 1, that came out as
// o, for a notification that is age old, and whether to try again at all. jitter is
// a random number in [0, 1). The last attempt is made at the horizon, also when the
// endpoint asks for a longer wait.
func (s schedule) next(attempt int, o Outcome, age time.Duration, jitter float64) (wait time.Duration, again bool) {
	if o.Result != Retry && o.Result != Gone || age >= s.horizon {
		return 0, false
	}
	wait = max(o.After, backoff(attempt, backoffCap, jitter))
	return min(wait, s.horizon-age), true
}

// hold returns how long an endpoint is left alone after so many failures in a row,
// the last of which came out as o; 0 is not at all.
func (s schedule) hold(failures int, o Outcome, jitter float64) time.Duration {
	longest := s.horizon
	if longest <= 0 {
		longest = holdOnce
	}
	wait := min(o.After, longest)
	if failures >= holdAfter {
		wait = max(wait, backoff(failures-holdAfter+1, holdCap, jitter))
	}
	return wait
}

// backoff doubles from backoffBase with each attempt, up to limit. Up to half of it
// is taken off at random, so that what failed together does not come again
// together.
func backoff(attempt int, limit time.Duration, jitter float64) time.Duration {
	wait := limit
	if shift := attempt - 1; shift < 20 {
		wait = min(limit, backoffBase<<max(shift, 0))
	}
	return wait - time.Duration(float64(wait/2)*jitter)
}
