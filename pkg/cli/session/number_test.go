package session

import (
	"testing"

	"github.com/spf13/cobra"
)

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		flag, text string
		want       float64
		message    string // of the usage error
	}{
		{"size", "0", 0, ""},
		{"size", "1.5", 1.5, ""},
		{"size", "1e12", 1e12, ""},
		{"size", "inf", 7, "Invalid value for '--size': inf is not in the range 0<=x<=1000000000000; 0 is any."},
		{"size", "-inf", 7, "Invalid value for '--size': -inf is not in the range 0<=x<=1000000000000; 0 is any."},
		{"size", "nan", 7, "Invalid value for '--size': nan is not in the range 0<=x<=1000000000000; 0 is any."},
		{"size", "-1", 7, "Invalid value for '--size': -1 is not in the range 0<=x<=1000000000000; 0 is any."},
		{"size", "1e400", 7, "Invalid value for '--size': 1e400 is not in the range 0<=x<=1000000000000; 0 is any."},
		{"size", "1.1e12", 7, "Invalid value for '--size': 1.1e12 is not in the range 0<=x<=1000000000000; 0 is any."},
		{"size", "", 7, "Invalid value for '--size': '' is not a valid float."},
		{"size", "5 MB", 7, "Invalid value for '--size': '5 MB' is not a valid float."},
		{"timeout", "-1", -1, ""},
		{"timeout", "-3.5", -3.5, ""},
		{"timeout", "1e9", 1e9, ""},
		{"timeout", "Inf", -1, "Invalid value for '--timeout': Inf is not in the range -1000000000<=x<=1000000000; -1 is for as long as it takes."},
		{"timeout", "NaN", -1, "Invalid value for '--timeout': NaN is not in the range -1000000000<=x<=1000000000; -1 is for as long as it takes."},
		{"interval", "0", 0, ""},
		{"interval", "-1", 5, "Invalid value for '--interval': -1 is not in the range 0<=x<=1000000000."},
		{"interval", "1e300", 5, "Invalid value for '--interval': 1e300 is not in the range 0<=x<=1000000000."},
	} {
		size, timeout, interval := 7.0, 0.0, 0.0
		cmd := &cobra.Command{}
		Number(cmd.Flags(), &size, "size", 0, 1e12, "; 0 is any", "")
		Timeout(cmd.Flags(), &timeout)
		Interval(cmd.Flags(), &interval)
		message := ""
		if err := cmd.ParseFlags([]string{"--" + tt.flag + "=" + tt.text}); err != nil {
			message = flagError(cmd, err).Error()
		}
		got := map[string]float64{"size": size, "timeout": timeout, "interval": interval}[tt.flag]
		if got != tt.want || message != tt.message {
			t.Errorf("--%s %s: %v, %q; want %v, %q", tt.flag, tt.text, got, message, tt.want, tt.message)
		}
	}
}
