package watch

import (
	"fmt"
	"testing"
	"time"
)

func TestNextLook(t *testing.T) {
	start := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	const interval = 5 * time.Minute
	var slots [10]int
	for i := range 10_000 {
		key := fmt.Sprintf("docker.io/library/app%d:latest", i)
		next := nextLook(key, interval, time.Time{}, start)
		if d := next.Sub(start); d <= 0 || d > interval {
			t.Fatalf("nextLook(%q) is %v away, want within (0, %v]", key, d, interval)
		}
		if again := nextLook(key, interval, time.Time{}, next); again.Sub(next) != interval {
			t.Fatalf("nextLook(%q) again is %v later, want %v", key, again.Sub(next), interval)
		}
		if between := nextLook(key, interval, time.Time{}, next.Add(-time.Nanosecond)); !between.Equal(next) {
			t.Fatalf("nextLook(%q) = %v a moment before %v: a restart would change it", key, between, next)
		}
		slots[next.Sub(start)*10/(interval+1)]++
	}
	for i, n := range slots {
		if n < 800 || n > 1200 {
			t.Errorf("tenth %d of the cycle has %d of 10,000 looks, want about 1,000", i, n)
		}
	}
}

// TestNextLookOutlastsTheClock: a clock that is set back puts no look off that was
// decided before.
func TestNextLookOutlastsTheClock(t *testing.T) {
	next := nextLook("docker.io/library/app:latest", 5*time.Minute, time.Time{}, time.Now())
	if next == next.Round(0) {
		t.Errorf("nextLook = %v has no monotonic reading: it is as late as the clock is set back", next)
	}
}

func TestNextLookOfATagThatIsGone(t *testing.T) {
	gone := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ age, most time.Duration }{
		{time.Minute, 5 * time.Minute}, {time.Hour, 40 * time.Minute}, {24 * time.Hour, 24 * time.Hour}, {1000 * time.Hour, 24 * time.Hour},
	} {
		now := gone.Add(tc.age)
		if d := nextLook("docker.io/library/app:latest", 5*time.Minute, gone, now).Sub(now); d <= 0 || d > tc.most {
			t.Errorf("gone for %v: next look in %v, want within %v", tc.age, d, tc.most)
		}
	}
}

func TestBackoff(t *testing.T) {
	for _, tc := range []struct {
		n               int
		interval, asked time.Duration
		want            time.Duration
	}{
		{1, time.Hour, 0, 5 * time.Second}, {2, time.Hour, 0, 10 * time.Second}, {3, time.Hour, 0, 20 * time.Second},
		{100, time.Hour, 0, 15 * time.Minute}, {1, time.Second, 0, time.Second}, {1, time.Hour, time.Hour, time.Hour},
	} {
		if got := backoff(tc.n, tc.interval, tc.asked); got != tc.want {
			t.Errorf("backoff(%d, %v, %v) = %v, want %v", tc.n, tc.interval, tc.asked, got, tc.want)
		}
	}
}
