package qdrant

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/memory"
)

// ErrOtherWriter says that another process writes to the collection. It is a memory.ErrBusy.
var ErrOtherWriter = fmt.Errorf("%w: another process writes to this collection: stop it first", memory.ErrBusy)

// One process at a time writes to a collection: the one that holds its lease, which is a point. Who holds it counts its beat up as
// long as it lives, and writes only for so long after it last did; who wants it takes it when it is free, or when it has seen the same
// beat for as long, by its own clock. Qdrant decides between two that want it: a beat is changed by a condition on what it was.
const (
	fieldHolder = "holder"
	fieldBeat   = "beat"
	kindLease   = "lease"
)

// leaseTenant is in the place of a tenant's hash, of which none is as short.
const leaseTenant = "-"

// leaseID is the point of a collection's lease.
var leaseID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("memgate lease of the writer")).String()

// lease is what a process knows of the lease of its collection.
type lease struct {
	store *Store
	id    string // of this process
	lasts time.Duration

	until atomic.Pointer[time.Time] // until when it is held; nil when it is not

	mu   sync.Mutex    // held while it is read or changed
	stop chan struct{} // ends the beating; nil when there is none
	done chan struct{} // closed when it has ended

	holder string    // seen last
	beat   int64     // seen last
	since  time.Time // when this was first seen
}

func newLease(s *Store) (*lease, error) {
	l := &lease{store: s, id: s.Holder, lasts: s.Lease}
	if l.id == "" {
		var id [16]byte
		if _, err := rand.Read(id[:]); err != nil {
			return nil, err
		}
		l.id = hex.EncodeToString(id[:])
	}
	return l, nil
}

// hold returns until when this process may write, which it may for a third of a lease, at least. It tries to get the lease
// where it has none, and fails with ErrOtherWriter if another process has it.
func (l *lease) hold(ctx context.Context) (until time.Time, err error) {
	if until, ok := l.mine(); ok {
		return until, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, ok := l.mine(); ok {
		return until, nil
	}
	if err := l.look(ctx); err != nil {
		return until, err
	}
	if !l.free() {
		return until, ErrOtherWriter
	}
	at := time.Now()
	won, err := l.put(ctx, l.id)
	if err == nil && !won {
		err = ErrOtherWriter
	}
	if err != nil {
		return until, err
	}
	l.store.forget()
	until = at.Add(l.lasts)
	l.until.Store(&until)
	if l.stop == nil {
		l.stop, l.done = make(chan struct{}), make(chan struct{})
		go l.keep(l.stop, l.done)
	}
	return until, nil
}

// mine returns until when the lease is held, and whether that is long enough to begin something.
func (l *lease) mine() (time.Time, bool) {
	until := l.until.Load()
	if until == nil {
		return time.Time{}, false
	}
	return *until, time.Until(*until) > l.lasts/3
}

// free reports whether what was seen lets this process take the lease: nobody has it, or it had it itself, or who has it
// has not moved for as long as a lease lasts.
func (l *lease) free() bool {
	return l.holder == "" || l.holder == l.id || time.Since(l.since) > l.lasts
}

// look reads the lease.
func (l *lease) look(ctx context.Context) error {
	return l.store.call(ctx, func(ctx context.Context) error {
		found, err := l.store.client.Get(ctx, &qdrant.GetPoints{CollectionName: l.store.Collection,
			Ids: []*qdrant.PointId{qdrant.NewIDUUID(leaseID)}, WithPayload: qdrant.NewWithPayload(true)})
		if err != nil {
			return err
		}
		holder, beat := "", int64(0)
		if len(found) > 0 {
			holder, beat = found[0].Payload[fieldHolder].GetStringValue(), found[0].Payload[fieldBeat].GetIntegerValue()
		}
		if holder != l.holder || beat != l.beat || l.since.IsZero() {
			l.holder, l.beat, l.since = holder, beat, time.Now()
		}
		return nil
	})
}

// put makes holder have the lease if it still is as it was seen, and reports whether it is so now.
func (l *lease) put(ctx context.Context, holder string) (bool, error) {
	p := point{id: leaseID, payload: map[string]*qdrant.Value{fieldTenant: qdrant.NewValueString(leaseTenant), fieldKind: qdrant.NewValueString(kindLease),
		fieldHolder: qdrant.NewValueString(holder), fieldBeat: qdrant.NewValueInt(l.beat + 1)}}
	request := &qdrant.UpsertPoints{CollectionName: l.store.Collection, Wait: qdrant.PtrOf(true), Points: []*qdrant.PointStruct{p.proto()},
		Ordering: &qdrant.WriteOrdering{Type: qdrant.WriteOrderingType_Strong}, UpdateMode: qdrant.UpdateMode_InsertOnly.Enum()}
	want := l.beat + 1
	if l.beat > 0 {
		request.UpdateMode = qdrant.UpdateMode_UpdateOnly.Enum()
		seen := qdrant.PtrOf(float64(l.beat))
		request.UpdateFilter = &qdrant.Filter{Must: []*qdrant.Condition{qdrant.NewMatchKeyword(fieldTenant, leaseTenant),
			qdrant.NewRange(fieldBeat, &qdrant.Range{Gte: seen, Lte: seen})}}
	}
	if err := l.store.call(ctx, func(ctx context.Context) error { _, err := l.store.client.Upsert(ctx, request); return err }); err != nil {
		return false, err
	}
	if err := l.look(ctx); err != nil {
		return false, err
	}
	return l.holder == holder && l.beat == want, nil
}

// keep counts the beat up until it is stopped or another process has the lease.
func (l *lease) keep(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(l.lasts / 4)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if !l.beatOnce() {
			return
		}
	}
}

// beatOnce counts the beat up and reports whether the lease is still that of this process.
func (l *lease) beatOnce() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), l.lasts/4) // who waits for the lock waits no longer
	defer cancel()
	for range 2 { // the second, if the answer to an earlier beat was lost
		won, err := l.put(ctx, l.id)
		switch {
		case err != nil:
			return true // it runs out unless the next one comes through
		case won:
			until := at.Add(l.lasts)
			l.until.Store(&until)
			return true
		case l.holder != l.id:
			l.until.Store(nil)
			l.stop = nil
			return false
		}
	}
	return true
}

// release lets another process have the lease at once.
func (l *lease) release() error {
	l.mu.Lock()
	stop, done := l.stop, l.done
	l.stop = nil
	l.mu.Unlock()
	if stop == nil {
		return nil
	}
	close(stop)
	<-done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), l.store.Timeout)
	defer cancel()
	_, err := l.put(ctx, "")
	return err
}

// ready fails with ErrOtherWriter while another process has the lease and is not known to have ended.
func (l *lease) ready(ctx context.Context) error {
	if _, ok := l.mine(); ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.look(ctx); err != nil {
		return err
	}
	if !l.free() {
		return ErrOtherWriter
	}
	return nil
}

// Claim waits until this process may write, for as long as it takes to tell whether another one lives.
func (s *Store) Claim(ctx context.Context) error {
	var holder string
	var beat int64
	for first := true; ; first = false {
		_, err := s.lease.hold(ctx)
		if !errors.Is(err, ErrOtherWriter) {
			return err
		}
		s.lease.mu.Lock()
		alive := !first && s.lease.holder == holder && s.lease.beat != beat
		holder, beat = s.lease.holder, s.lease.beat
		s.lease.mu.Unlock()
		if alive {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.Lease / 20):
		}
	}
}

// forget makes what is known of each tenant be read anew: others may have written meanwhile.
func (s *Store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
}

// known reports whether what is known of a tenant is of now; if it is not, it is forgotten.
func (s *Store) known(t *tenant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.of == s.generation {
		return true
	}
	t.last, t.of = -1, s.generation
	return false
}
