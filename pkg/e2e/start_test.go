package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkStart measures the time from the start of the process to the first
// answer of /health, with 10,000 active subscriptions in the data directory.
func BenchmarkStart(b *testing.B) {
	const subscriptions = 10_000
	reg := newRegistry(b)
	e := startEngine(b, "")
	if err := addSubscriptions(b.Context(), e.url(), reg.Host(), subscriptions); err != nil {
		b.Fatal(err)
	}
	e.stop()
	var slowest time.Duration
	for b.Loop() {
		begin := time.Now()
		e.start()
		slowest = max(slowest, time.Since(begin))
		b.StopTimer()
		e.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
}

// addSubscriptions adds n active tag_update subscriptions through the API.
func addSubscriptions(ctx context.Context, url, host string, n int) error {
	const senders = 32
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	numbers, failed := make(chan int), make(chan error, senders)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range numbers {
				if err := addSubscription(ctx, client, url, fmt.Sprintf("%s/many/app%d:latest", host, i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		select {
		case numbers <- i:
		case err = <-failed:
		}
	}
	close(numbers)
	wg.Wait()
	return err
}

func addSubscription(ctx context.Context, client *http.Client, url, key string) error {
	body := strings.NewReader(fmt.Sprintf(`{"subscription_key":%q,"subscription_type":"tag_update","active":true}`, key))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/subscriptions", body)
	if err != nil {
		return err
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", key, resp.Status)
	}
	return nil
}
