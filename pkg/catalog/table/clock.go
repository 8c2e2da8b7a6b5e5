package table

import "time"

// clockSlack is how far ahead of now a time may lie that is past: not worth a write.
const clockSlack = time.Minute

// FitClock returns when something is due, at now or later, that was put off to due at
// the time decided, for longest at most. It is due itself unless the clock was set
// back since: then it is after the same wait, from now on. A due that no wait explains
// is now.
func FitClock(due, decided int64, now time.Time, longest time.Duration) int64 {
	switch at := Nanos(now); {
	case decided > at+int64(clockSlack):
		return at + min(max(due-decided, 0), int64(longest))
	case due > at+int64(longest):
		return at
	}
	return due
}
