package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/token"
)

// fakeShared stands for what other instances have used.
type fakeShared struct {
	used map[[32]byte]bool
	err  error
}

func (f *fakeShared) First(_ context.Context, id [32]byte, _ time.Duration) (bool, error) {
	if f.err != nil {
		return false, f.err
	}
	first := !f.used[id]
	f.used[id] = true
	return first, nil
}

func TestSharedReplay(t *testing.T) {
	now := time.Now()
	shared := &fakeShared{used: make(map[[32]byte]bool)}
	instance := func() token.Replay {
		return &sharedReplay{own: token.NewMemoryReplay(100, func() time.Time { return now }), shared: shared}
	}
	a, b := instance(), instance()
	ctx := context.Background()
	want := func(name string, r token.Replay, id byte, first bool) {
		t.Helper()
		if got, err := r.First(ctx, [32]byte{id}, time.Minute); got != first || err != nil {
			t.Errorf("%s: %v %v, want %v", name, got, err, first)
		}
	}
	want("new", a, 1, true)
	want("again", a, 1, false)
	want("at another instance", b, 1, false)
	shared.err = errors.New("down")
	want("new, without Redis", a, 2, true)
	want("again, without Redis", a, 2, false)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := a.First(cancelled, [32]byte{3}, time.Minute); err == nil {
		t.Error("a caller whose time is over got an answer")
	}
}
