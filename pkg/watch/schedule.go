package watch

import (
	"hash/fnv"
	"time"
)

// maxGonePeriod is how rarely a tag that the registry does not have is asked for,
// at most.
const maxGonePeriod = 24 * time.Hour

// nextLook returns the first instant after now at which the tag is looked at. It
// depends on the tag and the clock alone, so nothing is stored for it and a
// restart makes no burst: each tag has its own place within the interval, by a
// hash of its key. A tag that is gone since some time is looked at in intervals
// that grow with that time, up to a day.
func nextLook(key string, interval time.Duration, goneSince, now time.Time) time.Time {
	period := interval
	if !goneSince.IsZero() {
		for period < maxGonePeriod && period < now.Sub(goneSince)/2 {
			period *= 2
		}
		period = max(interval, min(period, maxGonePeriod))
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key)) // never fails
	place := time.Duration(mix(hash.Sum64()) % uint64(period))
	since := time.Duration(now.UnixNano()) - place
	turns := since / period
	// With the reading of the monotonic clock in now: one that is set back puts no look off.
	return now.Add(place + (turns+1)*period - time.Duration(now.UnixNano()))
}

// mix spreads the bits of an FNV hash, whose low bits follow the last letters of
// the key too closely (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}

const (
	firstBackoff = 5 * time.Second
	maxBackoff   = 15 * time.Minute
)

// backoff returns how long a registry is left alone after its nth failure in a
// row, or for as long as it asked. It begins with the interval if that is short.
func backoff(n int, interval, asked time.Duration) time.Duration {
	wait := min(firstBackoff, interval)
	for range n - 1 {
		if wait *= 2; wait >= maxBackoff {
			wait = maxBackoff
			break
		}
	}
	return max(wait, asked)
}
