package notify

import (
	"math"
	"net/http"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	const horizon = 72 * time.Hour
	for _, tt := range []struct {
		name     string
		attempt  int
		outcome  Outcome
		age      time.Duration
		jitter   float64
		wait     time.Duration
		again    bool
		schedule schedule
	}{
		{name: "first", attempt: 1, wait: time.Second, again: true},
		{name: "first, all the jitter", attempt: 1, jitter: 1, wait: time.Second / 2, again: true},
		{name: "doubles", attempt: 5, wait: 16 * time.Second, again: true},
		{name: "capped", attempt: 13, wait: time.Hour, again: true},
		{name: "far beyond the cap", attempt: math.MaxInt32, wait: time.Hour, again: true},
		{name: "Retry-After is longer", attempt: 1, outcome: Outcome{After: 2 * time.Hour}, wait: 2 * time.Hour, again: true},
		{name: "Retry-After is shorter", attempt: 10, outcome: Outcome{After: time.Second}, wait: 512 * time.Second, again: true},
		{name: "Retry-After beyond the horizon", attempt: 1, outcome: Outcome{After: 100 * time.Hour}, age: time.Hour, wait: 71 * time.Hour, again: true},
		{name: "last before the horizon", attempt: 80, age: horizon - time.Minute, wait: time.Minute, again: true},
		{name: "at the horizon", attempt: 81, age: horizon},
		{name: "gone is kept", attempt: 1, outcome: Outcome{Result: Gone}, wait: time.Second, again: true},
		{name: "delivered", attempt: 1, outcome: Outcome{Result: Delivered}},
		{name: "refused", attempt: 1, outcome: Outcome{Result: Refused}},
		{name: "tries once", attempt: 1, schedule: schedule{horizon: -1}},
	} {
		s := tt.schedule
		if s.horizon == 0 {
			s.horizon = horizon
		}
		if wait, again := s.next(tt.attempt, tt.outcome, tt.age, tt.jitter); wait != tt.wait || again != tt.again {
			t.Errorf("%s: next = %v, %v; want %v, %v", tt.name, wait, again, tt.wait, tt.again)
		}
	}
}

func TestHold(t *testing.T) {
	s := schedule{horizon: 72 * time.Hour}
	for _, tt := range []struct {
		failures int
		after    time.Duration
		want     time.Duration
	}{
		{1, 0, 0}, {2, 0, 0}, {3, 0, time.Second}, {4, 0, 2 * time.Second}, {100, 0, 5 * time.Minute},
		{1, time.Minute, time.Minute}, {100, time.Hour, time.Hour}, {1, 100 * time.Hour, 72 * time.Hour},
	} {
		if got := s.hold(tt.failures, Outcome{After: tt.after}, 0); got != tt.want {
			t.Errorf("hold(%d, %v) = %v; want %v", tt.failures, tt.after, got, tt.want)
		}
	}
}

// An endpoint that is tried once for each message is left alone all the same.
func TestHoldWithoutRetries(t *testing.T) {
	s := schedule{horizon: -1}
	for after, want := range map[time.Duration]time.Duration{0: 0, time.Minute: time.Minute, 100 * time.Hour: 24 * time.Hour} {
		if got := s.hold(1, Outcome{After: after}, 0); got != want {
			t.Errorf("hold(1, %v) = %v; want %v", after, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{"", "0", "120", "-1", "1e3", "99999999999999999999", now.Add(time.Hour).Format(http.TimeFormat), "Friday, 02-Jan-26 03:04:06 GMT", " 5 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := retryAfter(s, now); got < 0 || got > maxRetryAfter {
			t.Errorf("retryAfter(%q) = %v", s, got)
		}
	})
}

// The example of the Standard Webhooks specification's reference libraries.
func TestSignature(t *testing.T) {
	key, err := signingKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature = %s; want %s", got, want)
	}
}
