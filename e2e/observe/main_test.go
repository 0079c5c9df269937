// Package observe tests through a real Envoy what operators see of requests:
// logs, metrics, traces and audit events, and what they must not see.
package observe

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, func(harness.T) {}) }

// metrics reads all of memgate's metrics, by name with labels.
func metrics(t *testing.T, s *harness.Stack) map[string]float64 {
	t.Helper()
	r, err := http.Get(s.MemgateHTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				t.Fatal(err)
			}
			out[line[:at]] = value
		}
	}
	return out
}
