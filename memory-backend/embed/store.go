package embed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Config is what a Store needs. Store and Client are required.
type Config struct {
	Store  memory.VectorStore
	Client *Client
	Wait   time.Duration // that a write or a recall waits for the server; 1 s when 0
	// Similar is the cosine from which on a new memory counts as a near duplicate; 0 for none.
	Similar float64
	// Scope returns what may be shown to the server of what a tenant holds; nil for all.
	Scope func(ctx context.Context, tenant string) (memory.Filter, error)
	// Every is how often all tenants are looked through for memories without a vector; an hour when 0. Those that are
	// known to have some are made up for within a second.
	Every   time.Duration
	Retry   time.Duration // between tries to reach a server that was away, at first; 1 s when 0
	Log     *slog.Logger  // nil: no log
	Metrics prometheus.Registerer
}

// Store is a memory.Store that gives memories and queries their vectors.
type Store struct {
	memory.VectorStore
	Config
	circuit *circuit
	metrics *counters

	mu    sync.Mutex
	dirty map[string]bool // tenants with memories that have no vector
	all   bool            // any tenant may have some
	kick  chan struct{}   // has a token when there is something to do
}

// maxDirty is how many tenants are known by name to have memories without a vector; beyond it all are looked through.
const maxDirty = 4096

// Outcomes of requests to the server, as the metric names them.
const (
	outcomeOK      = "ok"
	outcomeFailed  = "failed"
	outcomeRefused = "refused"
	outcomeSkipped = "skipped" // the server is taken to be away
)

type counters struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	similar  prometheus.Counter
	filled   prometheus.Counter
}

// New returns a Store. Run makes up for missing vectors.
func New(c Config) (*Store, error) {
	if c.Store == nil || c.Client == nil {
		return nil, errors.New("embed: Store and Client are required")
	}
	if c.Wait <= 0 {
		c.Wait = time.Second
	}
	if c.Every <= 0 {
		c.Every = time.Hour
	}
	if c.Retry <= 0 {
		c.Retry = firstWait
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{VectorStore: c.Store, Config: c, circuit: newCircuit(), dirty: make(map[string]bool), all: true, kick: make(chan struct{}, 1)}
	s.metrics = &counters{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "memory_backend_embeddings_requests_total",
			Help: "Requests for vectors, by what for (recall, write, backfill) and outcome (ok, failed, refused, skipped)."}, []string{"use", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "memory_backend_embeddings_seconds", Help: "Time until the server answered.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}),
		similar: prometheus.NewCounter(prometheus.CounterOpts{Name: "memory_backend_near_duplicates_total", Help: "Memories that were stored beside one that says nearly the same."}),
		filled:  prometheus.NewCounter(prometheus.CounterOpts{Name: "memory_backend_embeddings_filled_total", Help: "Memories that got their vector later."}),
	}
	if c.Metrics != nil {
		c.Metrics.MustRegister(s.metrics.requests, s.metrics.seconds, s.metrics.similar, s.metrics.filled,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "memory_backend_embeddings_up", Help: "1 while the server of vectors is asked; 0 while recall goes by words alone."},
				func() float64 {
					if s.circuit.closed() {
						return 1
					}
					return 0
				}))
	}
	return s, nil
}

// ask asks the server on behalf of something that waits for the answer; nil when there is none in time.
func (s *Store) ask(ctx context.Context, use string, texts []string) [][]float32 {
	if !s.circuit.closed() {
		s.metrics.requests.WithLabelValues(use, outcomeSkipped).Inc()
		return nil
	}
	in, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	vectors, err := s.try(in, use, texts)
	if err != nil {
		return nil
	}
	return vectors
}

// try asks the server once, and notes what came of it.
func (s *Store) try(ctx context.Context, use string, texts []string) ([][]float32, error) {
	start := time.Now()
	vectors, err := s.Client.Embed(ctx, texts)
	outcome := outcomeOK
	switch {
	case errors.Is(err, ErrRefused):
		outcome = outcomeRefused
	case err != nil:
		outcome = outcomeFailed
	}
	s.metrics.requests.WithLabelValues(use, outcome).Inc()
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	if changed := s.circuit.done(err); changed && err != nil {
		s.Log.Error("the server of vectors is taken to be away: recall goes by words alone", "error", err.Error())
	} else if changed {
		s.Log.Info("the server of vectors answers again")
	} else if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Warn("no vectors", "use", use, "error", err.Error())
	}
	return vectors, err
}

// Search implements memory.Store: by words and by meaning, or by words alone when there is no vector of the query.
func (s *Store) Search(ctx context.Context, tenant string, q memory.SearchQuery) ([]memory.Hit, error) {
	if q.Vector == nil && q.Text != "" {
		if v := s.ask(ctx, "recall", []string{q.Text}); v != nil {
			q.Space, q.Vector = s.Client.Space, v[0]
		}
	}
	return s.VectorStore.Search(ctx, tenant, q)
}

// Prepare asks for the vectors of memories that are to be added, of which w then has those that came in time, and sets
// Conflict of each that says nearly the same as one that the scope selects, and is the same agent's, user's, application's
// and run's, or as one before it.
func (s *Store) Prepare(ctx context.Context, tenant string, w *memory.Write, memories []*memory.Memory, scope memory.Filter) {
	s.embed(ctx, w, memories)
	if s.Similar <= 0 {
		return
	}
	for i, v := range w.Vectors {
		if v == nil {
			continue
		}
		m := memories[i]
		best := s.Similar
		for j, o := range memories[:i] {
			if w.Vectors[j] == nil || o.Agent != m.Agent || o.User != m.User || o.App != m.App || o.Run != m.Run {
				continue
			}
			if dot := memory.Dot(v, w.Vectors[j]); dot >= best {
				best, m.Conflict = dot, o.ID
			}
		}
		own := memory.And{memory.Eq(memory.FieldAgent, m.Agent), memory.Eq(memory.FieldUser, m.User), memory.Eq(memory.FieldApp, m.App),
			memory.Eq(memory.FieldRun, m.Run), memory.Not{Filter: memory.Expired(w.At)}}
		hits, err := s.VectorStore.Search(ctx, tenant, memory.SearchQuery{Filter: memory.Both(own, scope), Limit: 1, MinScore: best, Space: w.Space, Vector: v})
		if err != nil {
			// Whether it says nearly the same is good to know, and no reason to lose it.
			s.Log.Warn("near duplicates", "tenant", tenant, "error", err.Error())
			continue
		}
		if len(hits) > 0 {
			m.Conflict = hits[0].Memory.ID
		}
		if m.Conflict != "" {
			s.metrics.similar.Inc()
		}
	}
}

// embed gives a write the vectors of its memories, as far as they come in time. What is in quarantine is not shown to the
// server.
func (s *Store) embed(ctx context.Context, w *memory.Write, memories []*memory.Memory) {
	var texts []string
	for _, m := range memories {
		if !m.Held {
			texts = append(texts, m.EmbedText())
		}
	}
	w.Space, w.Vectors = s.Client.Space, make([][]float32, len(memories))
	if len(texts) == 0 {
		return
	}
	vectors := s.ask(ctx, "write", texts)
	for i, m := range memories {
		if !m.Held && len(vectors) > 0 {
			w.Vectors[i], vectors = vectors[0], vectors[1:]
		}
	}
}

// Add implements memory.Store.
func (s *Store) Add(ctx context.Context, tenant string, w memory.Write, memories []*memory.Memory) error {
	if w.Vectors == nil {
		s.embed(ctx, &w, memories)
	}
	if err := s.VectorStore.Add(ctx, tenant, w, memories); err != nil {
		return err
	}
	for i, v := range w.Vectors {
		if v == nil && !memories[i].Held {
			s.missing(tenant)
			break
		}
	}
	return nil
}

// UpdateAll implements memory.Store. What it changes gets its vector afterwards, so that a write under way never waits for
// the server.
func (s *Store) UpdateAll(ctx context.Context, tenant string, w memory.Write, ids []string, scope memory.Filter,
	edit func(i int, m *memory.Memory) error) error {
	lost := false
	err := s.VectorStore.UpdateAll(ctx, tenant, w, ids, scope, func(i int, m *memory.Memory) error {
		text, held := m.EmbedText(), m.Held
		err := edit(i, m)
		lost = lost || text != m.EmbedText() || held && !m.Held
		return err
	})
	if err == nil && lost {
		s.missing(tenant)
	}
	return err
}

// Restore implements memory.Store.
func (s *Store) Restore(ctx context.Context, tenant string, w memory.Write, items []memory.Exported) (int, error) {
	n, err := s.VectorStore.Restore(ctx, tenant, w, items)
	if err == nil && n > 0 {
		s.missing(tenant)
	}
	return n, err
}

// missing notes that a tenant has memories without a vector.
func (s *Store) missing(tenant string) {
	s.mu.Lock()
	if len(s.dirty) < maxDirty {
		s.dirty[tenant] = true
	} else {
		s.all = true
	}
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
}
