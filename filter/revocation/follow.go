package revocation

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// How a log is followed. Together wait, answer and retry stay below a second, which is how
// long a connection can be broken before that is noticed.
const (
	wait       = 500 * time.Millisecond // for something new
	answer     = 400 * time.Millisecond // for the answer, beyond that
	retry      = 100 * time.Millisecond // after a failure
	firstRead  = 5 * time.Second        // for a page of the whole log
	pruneEvery = time.Minute
)

// Run follows the log until ctx ends. The log is read from its start at first and after
// each failure, and then what comes in is known at once.
func (l *List) Run(ctx context.Context) {
	after, last := "", time.Time{}
	for ctx.Err() == nil {
		start := l.config.Now()
		if !last.IsZero() && start.Sub(last) > Told/2 {
			after = "" // this process slept: what was told meanwhile may be gone
		}
		var err error
		if after == "" {
			after, err = l.readAll(ctx)
		} else {
			after, err = l.readOn(ctx, after)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			after = ""
			l.failed(err)
			sleep(ctx, retry)
			continue
		}
		last = start
		l.contact.Store(int64(start.Sub(l.start)))
		if !l.up.Swap(true) {
			l.changed(nil)
		}
		if start.Sub(l.pruned) >= pruneEvery {
			l.pruned = start
			l.prune(start)
			if err := l.removeOver(ctx, start); err != nil {
				l.failures.Add(1) // the next minute tries again
			}
		}
	}
}

// readAll reads the whole log, and adds to it what it has lost.
func (l *List) readAll(ctx context.Context) (string, error) {
	places, found := make(map[string]placed), make(map[key]bool)
	var kept []Entry
	for after := ""; ; {
		limited, cancel := context.WithTimeout(ctx, firstRead)
		page, err := l.config.Log.Read(limited, after, 0)
		cancel()
		if err != nil {
			return "", err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			if err := e.Valid(); err != nil {
				return "", fmt.Errorf("%w at %s", err, e.Position)
			}
			k := keyOf(&e.Entry)
			places[e.Position] = placed{k, e.Until}
			if e.kept() {
				found[k] = true
				kept = append(kept, e.Entry)
			}
		}
		after = page.Next
		if page.More {
			continue
		}
		l.put(kept...)
		l.places = places
		if s := l.sessions.Load(); s != nil {
			(*s).Forget()
		}
		return after, l.restore(ctx, found)
	}
}

// restore adds to the log what it does not have any more: whoever has restarted it
// without its data has not taken anything back.
func (l *List) restore(ctx context.Context, found map[key]bool) error {
	now := l.config.Now()
	var lost []Entry
	for i := range l.shard {
		for k, m := range *l.shard[i].marks.Load() {
			if !found[k] && (m.until.IsZero() || m.until.After(now)) {
				lost = append(lost, Entry{k.kind, k.issuer, k.tenant, k.id, m.before, m.until, m.made})
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, firstRead)
	defer cancel()
	return l.config.Log.Add(limited, lost...)
}

// readOn reads what is new.
func (l *List) readOn(ctx context.Context, after string) (string, error) {
	for {
		limited, cancel := context.WithTimeout(ctx, wait+answer)
		page, err := l.config.Log.Read(limited, after, wait)
		cancel()
		if err != nil {
			return "", err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			if err := e.Valid(); err != nil {
				return "", fmt.Errorf("%w at %s", err, e.Position)
			}
			l.places[e.Position] = placed{keyOf(&e.Entry), e.Until}
			l.heed(&e.Entry)
		}
		after = page.Next
		if !page.More {
			return after, nil
		}
	}
}

// kept says whether e stays in the list.
func (e *Entry) kept() bool { return slices.Contains(keptKinds[:], e.Kind) }

func (l *List) heed(e *Entry) {
	if e.kept() {
		l.put(*e)
		return
	}
	s := l.sessions.Load()
	switch {
	case s == nil:
	case e.Kind == KindSession:
		(*s).Ended(e.ID)
	default:
		(*s).Changed(e.ID)
	}
}

// removeOver removes from the log what is of no use any more. Each process does so.
func (l *List) removeOver(ctx context.Context, now time.Time) error {
	var positions []string
	for position, p := range l.places {
		if over(p.until, now) {
			positions = append(positions, position)
		}
	}
	for len(positions) > 0 {
		some := positions[:min(len(positions), 1000)]
		limited, cancel := context.WithTimeout(ctx, wait+answer)
		err := l.config.Log.Remove(limited, some...)
		cancel()
		if err != nil {
			return err
		}
		for _, position := range some {
			delete(l.places, position)
		}
		positions = positions[len(some):]
	}
	return nil
}

func (l *List) failed(err error) {
	l.failures.Add(1)
	if l.up.Swap(false) || l.failures.Load() == 1 {
		l.changed(err)
	}
}

func (l *List) changed(err error) {
	if l.config.Changed != nil {
		l.config.Changed(err)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
