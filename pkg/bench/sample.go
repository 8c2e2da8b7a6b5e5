package main

import (
	"fmt"
	"slices"
	"time"
)

// sample holds measured times.
type sample []time.Duration

// at returns the quantile q of the sample, 0 to 1: the nearest time that was
// measured.
func (s sample) at(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) median() time.Duration { return s.at(0.5) }

// String shows the median and, in brackets, the least and the greatest.
func (s sample) String() string {
	return fmt.Sprintf("%s (%s–%s)", short(s.median()), short(s.at(0)), short(s.at(1)))
}

// short is a time with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// compared shows how many times longer a took than b: the median over the turns,
// whose two sides met the same load. In brackets is the range of the turns.
func compared(what string, a, b sample, goal float64) result {
	turns := make([]float64, len(a))
	for i := range a {
		turns[i] = float64(a[i]) / float64(b[i])
	}
	slices.Sort(turns)
	median := turns[len(turns)/2]
	return result{
		what: what, figure: fmt.Sprintf("%.2f× (%.2f–%.2f)", median, turns[0], turns[len(turns)-1]),
		goal: fmt.Sprintf("≤ %.1f×", goal), met: median <= goal,
	}
}
