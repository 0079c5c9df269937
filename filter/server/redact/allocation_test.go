//go:build !race

package redact

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// The race detector makes pools forget at random, so that there is nothing to count.
func TestCleanRecordsDoNotAllocate(t *testing.T) {
	h := NewHandler(slog.DiscardHandler)
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "denied", 0)
	r.AddAttrs(slog.String("request_id", "3f2c5a34-6b54-4c9d-9f00-5e1d0a4c7b11"), slog.String("reason", "insufficient_scope"), slog.Int("n", 3))
	_ = h.Handle(context.Background(), r)
	if n := testing.AllocsPerRun(200, func() { _ = h.Handle(context.Background(), r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
