package embed

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/memgate/memgate/memory-backend/memory"
)

// fillStep is how many memories are read at a time.
const fillStep = maxTexts

// mostCuts is how often a text that the server refuses is cut to its first half before it goes without a vector.
const mostCuts = 4

// Filled says how far a tenant's back-fill is.
type Filled struct {
	Stored  int // got a vector
	Refused int // have none, as the server refuses their text
}

// Check asks for the vector of a word, and fails if the server does not make vectors as it should: ErrAnswer,
// or ErrUnavailable if that cannot be told now.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.try(ctx, "check", []string{"memory"})
	return err
}

// Fill gives vectors to a tenant's memories that have none of this model and length, in the order in which they were
// added. It can be broken off and called again. progress may be nil.
func (s *Store) Fill(ctx context.Context, tenant string, progress func(Filled)) (done Filled, err error) {
	var scope memory.Filter
	if s.Scope != nil {
		if scope, err = s.Scope(ctx, tenant); err != nil {
			return done, err
		}
	}
	scope = memory.Both(scope, memory.Eq(memory.FieldHeld, "false"))
	for after := int64(0); ; {
		list, err := s.Unembedded(ctx, tenant, s.Client.Space, scope, after, fillStep)
		if err != nil || len(list) == 0 {
			return done, err
		}
		after = list[len(list)-1].Seq
		texts := make([]string, len(list))
		for i, m := range list {
			texts[i] = m.EmbedText()
		}
		vectors, err := s.insist(ctx, texts)
		if err != nil {
			return done, err
		}
		var found []memory.Embedded
		for i, m := range list {
			if vectors[i] == nil {
				done.Refused++
				continue
			}
			found = append(found, memory.Embedded{ID: m.ID, Version: m.Version, Vector: vectors[i]})
		}
		n, err := s.SetVectors(ctx, tenant, s.Client.Space, found)
		if errors.Is(err, memory.ErrNotFound) { // the tenant went meanwhile
			return done, nil
		}
		if err != nil {
			return done, err
		}
		done.Stored += n
		s.metrics.filled.Add(float64(n))
		if progress != nil {
			progress(done)
		}
	}
}

// insist asks for vectors until the server answers, a bounded number of times; where it refuses a batch, for each by itself. The
// vector of a text that it refuses even when cut is nil.
func (s *Store) insist(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, err := s.again(ctx, texts)
	if !errors.Is(err, ErrRefused) {
		return vectors, err
	}
	vectors = make([][]float32, len(texts))
	for i, text := range texts {
		for cut := 0; cut <= mostCuts && text != ""; cut++ {
			v, err := s.again(ctx, []string{text})
			if err == nil {
				vectors[i] = v[0]
				break
			}
			if !errors.Is(err, ErrRefused) {
				return nil, err
			}
			text = half(text)
		}
	}
	return vectors, nil
}

// half returns the first half of a text, which ends with a whole character.
func half(text string) string {
	n := len(text) / 2
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// mostTries is how often the background asks for the same vectors in a row.
const mostTries = 4

// again tries some times while the server is not available.
func (s *Store) again(ctx context.Context, texts []string) ([][]float32, error) {
	wait := s.Retry
	for try := 1; ; try++ {
		vectors, err := s.try(ctx, "backfill", texts)
		var later *retryError
		if err == nil || !errors.As(err, &later) || try == mostTries {
			return vectors, err
		}
		if !sleep(ctx, min(max(wait, later.after), lastWait)) {
			return nil, ctx.Err()
		}
		wait = min(4*wait, lastWait)
	}
}

// Run makes up for missing vectors until ctx ends: of all tenants at first and from time to time, and soon of those that
// were written to without. While the server is away, it is asked ever more rarely, once a minute in the end.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	wait := s.Retry
	for {
		err := s.fillAll(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.Log.Warn("memories without vectors wait", "error", err.Error())
		} else {
			wait = s.Retry
		}
		for ; (err != nil || !s.circuit.closed()) && sleep(ctx, wait); wait = min(2*wait, lastWait) {
			one, cancel := context.WithTimeout(ctx, maxWait)
			err = s.Check(one)
			cancel()
			if err == nil {
				wait = min(2*wait, lastWait) // of the next time, if what waits fails again
				break
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil && s.waiting() {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			s.all = true
			s.mu.Unlock()
		case <-s.kick:
		case <-s.circuit.wake:
		}
	}
}

// waiting reports whether there is something to make up for.
func (s *Store) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all || len(s.dirty) > 0
}

// fillAll makes up for what is known to be missing. What it could not do is known after it as well.
func (s *Store) fillAll(ctx context.Context) error {
	s.mu.Lock()
	all, dirty := s.all, s.dirty
	s.all, s.dirty = false, make(map[string]bool)
	s.mu.Unlock()
	var failed error
	fill := func(tenant string) bool {
		if failed != nil {
			s.missing(tenant)
			return ctx.Err() == nil
		}
		if _, err := s.Fill(ctx, tenant, nil); err != nil {
			if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrAnswer) || ctx.Err() != nil {
				s.missing(tenant)
				failed = err // the others would fare no better
			} else { // the tenant's own trouble: it waits for the next look at all
				s.Log.Error("back-fill of vectors", "tenant", tenant, "error", err.Error())
			}
		}
		return ctx.Err() == nil
	}
	if all {
		var names []string
		if err := s.Tenants(ctx, func(name string) bool { names = append(names, name); return true }); err != nil {
			s.mu.Lock()
			s.all = true
			s.mu.Unlock()
			return fmt.Errorf("embed: tenants: %w", err)
		}
		for _, name := range names {
			delete(dirty, name)
			if !fill(name) {
				break
			}
		}
	}
	for name := range dirty {
		if !fill(name) {
			break
		}
	}
	return failed
}
