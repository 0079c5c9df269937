package embed

import (
	"context"
	"errors"
	"sync"
	"time"
)

// circuit keeps requests from waiting for a server that fails. It opens after some failures in a row, and nothing that
// waits for an answer tries then: only what runs in the background does, and closes it again.
type circuit struct {
	mu       sync.Mutex
	failures int
	open     bool
	wake     chan struct{} // has a token when the circuit opened
}

// mostFailures in a row open a circuit.
const mostFailures = 3

func newCircuit() *circuit { return &circuit{wake: make(chan struct{}, 1)} }

// closed reports whether the server may be asked by what waits for an answer.
func (c *circuit) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.open
}

// done notes how a request ended, and reports whether that opened or closed the circuit. What the caller broke off says
// nothing of the server, nor does a text that it refuses.
func (c *circuit) done(err error) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		changed = c.open
		c.open, c.failures = false, 0
	case errors.Is(err, context.Canceled):
	default:
		c.failures++
		if !c.open && c.failures >= mostFailures {
			c.open, changed = true, true
			select {
			case c.wake <- struct{}{}:
			default:
			}
		}
	}
	return changed
}

// Waits of the background: between tries while the circuit is open, and in a row of tries of one batch.
const (
	firstWait = time.Second
	lastWait  = time.Minute
)

// sleep waits, and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
