package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/ownerfile"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/session"
	"github.com/memgate/memgate/filter/state"
)

// stateWithin is how long a start or reload waits for a state that does not
// answer before it goes on without; nobody passes until it answers.
const stateWithin = time.Second

// ErrNoState is returned for a policy that keeps no state.
var ErrNoState = errors.New("the policy keeps no state: name a place, such as state: { file: state.db }")

// OpenState opens the state that p names, or returns [ErrNoState].
func OpenState(p *policy.Policy, now func() time.Time) (state.State, error) {
	return openState(p, nil, now)
}

// openState is OpenState with spans of what a Redis is asked.
func openState(p *policy.Policy, traces *tracing, now func() time.Time) (state.State, error) {
	switch {
	case p.State.File != "":
		f, err := state.OpenFile(p.Path(p.State.File), now)
		if err != nil {
			return nil, fmt.Errorf("state.file: %w", err)
		}
		return f, nil
	case p.State.Redis != "":
		client, err := openRedis(p, p.State.Redis, "state.redis", p.State.Cluster, traces.redis("memgate.state"))
		if err != nil {
			return nil, err
		}
		return state.NewRedis(client, p.State.Prefix, now), nil
	}
	return nil, ErrNoState
}

// kept is the state of a build, and of those after it that have the same. It is
// nil for one that keeps none.
type kept struct {
	state state.State
	list  *revocation.List
	url   string // of the Redis
	stop  context.CancelFunc
	ended chan struct{} // closed when list is not kept up to date any more
}

// keep opens the state of p and follows what is revoked, until it is dropped.
func keep(p *policy.Policy, traces *tracing, now func() time.Time, changed func(error)) (*kept, error) {
	if !p.State.Kept() {
		return nil, nil
	}
	opened, err := openState(p, traces, now)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &kept{state: opened, stop: stop, ended: make(chan struct{})}
	k.list = revocation.New(revocation.Config{Log: opened, Now: now, MaxStale: time.Duration(p.State.MaxStale), Changed: changed})
	go func() {
		defer close(k.ended)
		k.list.Run(ctx)
	}()
	return k, nil
}

// known waits for a while until what was revoked was read once.
func (k *kept) known(ctx context.Context) bool {
	await(ctx, stateWithin, func() bool { return k.list.Stats().Known })
	return k.list.Stats().Known
}

// drop ends k.
func (k *kept) drop() {
	k.stop()
	<-k.ended
	_ = k.state.Close()
}

// dropUnless ends k unless b has it.
func (k *kept) dropUnless(b *build) {
	if k != nil && (b == nil || b.kept != k) {
		k.drop()
	}
}

// keepState returns the state of p, which outlives a reload that does not change
// its section.
func (s *Server) keepState(ctx context.Context, p *policy.Policy, old *build) (*kept, error) {
	url := ""
	if p.State.Redis != "" {
		var err error
		if url, err = redisURL(p, p.State.Redis, "state.redis"); err != nil {
			return nil, err
		}
	}
	if old != nil && old.kept != nil && reflect.DeepEqual(old.policy.State, p.State) && old.kept.url == url {
		return old.kept, nil
	}
	k, err := keep(p, s.traces, s.options.Now, func(err error) {
		if err != nil {
			s.log.Warn("the state does not answer; requests with credentials are refused when that lasts", "error", err, "max_stale", p.State.MaxStale.String())
			return
		}
		s.log.Info("the state answers")
	})
	if err != nil || k == nil {
		return nil, err
	}
	k.url = url
	if url != "" {
		s.warnPlain(url, "state.redis")
	}
	if !k.known(ctx) {
		s.log.Warn("the state was not read yet; requests with credentials are refused until it is")
	}
	return k, nil
}

// sessionKeyBytes is the length of a new key of sessions before it is written as
// hex.
const sessionKeyBytes = 32

// sessionKey reads the key of sessions that are kept in a state. A file of it
// that does not exist is made where the state is a file, too: with a Redis the
// other instances would not have the same.
func sessionKey(p *policy.Policy, random io.Reader) ([]byte, error) {
	ref := p.SessionKey()
	path, ok := strings.CutPrefix(string(ref), "file:")
	if !ok || p.State.File == "" {
		return p.Resolve(ref)
	}
	b, err := ownerfile.ReadOrCreate(p.Path(path), policy.MaxSecret, func() ([]byte, error) {
		raw := make([]byte, sessionKeyBytes)
		if _, err := io.ReadFull(random, raw); err != nil {
			return nil, err
		}
		return append(hex.AppendEncode(nil, raw), '\n'), nil
	})
	if err != nil {
		return nil, err
	}
	return []byte(strings.TrimSpace(string(b))), nil
}

// Sessions returns the sessions that are in the state of p. They are not told of
// what ends: it is for tools, and not for a process that serves.
func Sessions(p *policy.Policy, opened state.State, now func() time.Time, random io.Reader) (*session.Store, error) {
	key, err := sessionKey(p, random)
	if err != nil {
		return nil, fmt.Errorf("identity.sessions.key: %w", err)
	}
	store, err := session.NewShared(session.Shared{
		Backend: opened, Key: key, Max: p.Identity.Sessions.Max, Now: now, Random: random, Down: func() bool { return false },
	})
	if err != nil {
		return nil, fmt.Errorf("identity.sessions.key: %w", err)
	}
	return store, nil
}

// sessions makes the store of p's sessions, or takes over that of old, and has
// it told of what ends elsewhere. It is nil when p has none.
func (b *build) sessions(old *build, now func() time.Time, random io.Reader) error {
	s := b.policy.Identity.Sessions
	if s == nil {
		return nil
	}
	if b.kept == nil {
		if old != nil && old.kept == nil && old.deps.Sessions != nil {
			b.deps.Sessions = old.deps.Sessions
		} else {
			b.deps.Sessions = session.NewStore(s.Max, now, random)
		}
		return nil
	}
	key, err := sessionKey(b.policy, random)
	if err != nil {
		return fmt.Errorf("identity.sessions.key: %w", err)
	}
	b.sessionKey = string(key)
	if old != nil && old.kept == b.kept && old.deps.Sessions != nil && old.sessionKey == b.sessionKey && old.policy.Identity.Sessions.Max == s.Max {
		b.deps.Sessions = old.deps.Sessions
		return nil
	}
	list := b.kept.list
	b.deps.Sessions, err = session.NewShared(session.Shared{
		Backend: b.kept.state, Key: key, Max: s.Max, Now: now, Random: random, Down: func() bool { return !list.Stats().Up },
	})
	if err != nil {
		return fmt.Errorf("identity.sessions.key: %w", err)
	}
	return nil
}

// follow has the store of b, which is in force from now on, told of what ends.
func (b *build) follow() {
	if b.kept != nil && b.deps.Sessions != nil {
		b.kept.list.Follow(b.deps.Sessions)
		b.deps.Sessions.Forget() // what it was not told before
	}
}

var _ authz.Revoked = (*revocation.List)(nil)

// stateCollector makes metrics of the state in force.
type stateCollector struct{ s *Server }

var (
	stateUp      = prometheus.NewDesc("memgate_state_up", "1 while the state (sessions, revocations) answers, 0 while this instance goes by what it knows.", nil, nil)
	stateAge     = prometheus.NewDesc("memgate_state_age_seconds", "Time since all that was revoked was known to this instance.", nil, nil)
	stateErrors  = prometheus.NewDesc("memgate_state_errors_total", "Failures to read or write the state.", nil, nil)
	stateRevoked = prometheus.NewDesc("memgate_revocations", "What is revoked, as far as this instance knows, by kind.", []string{"kind"}, nil)
)

// Describe implements [prometheus.Collector].
func (stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{stateUp, stateAge, stateErrors, stateRevoked} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c stateCollector) Collect(out chan<- prometheus.Metric) {
	b := c.s.current.Load()
	if b == nil || b.kept == nil {
		return
	}
	st := b.kept.list.Stats()
	up := 0.0
	if st.Up {
		up = 1
	}
	failures := st.Failures
	if b.deps.Sessions != nil {
		failures += b.deps.Sessions.Failures()
	}
	out <- prometheus.MustNewConstMetric(stateUp, prometheus.GaugeValue, up)
	out <- prometheus.MustNewConstMetric(stateErrors, prometheus.CounterValue, float64(failures))
	if st.Known {
		out <- prometheus.MustNewConstMetric(stateAge, prometheus.GaugeValue, st.Age.Seconds())
	}
	for kind, n := range st.Revoked {
		out <- prometheus.MustNewConstMetric(stateRevoked, prometheus.GaugeValue, float64(n), string(kind))
	}
}
