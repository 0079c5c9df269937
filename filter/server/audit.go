package server

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/policy"
)

// auditLog opens the policy's audit log, or goes on with the one that is open.
func (s *Server) auditLog(p *policy.Policy, old *build) (*audit.Writer, error) {
	if old != nil && reflect.DeepEqual(old.policy.Audit, p.Audit) {
		return old.audit, nil
	}
	a := &p.Audit
	config := audit.Config{
		Now: s.options.Now, Random: s.options.Random,
		Checkpoint: time.Duration(a.Checkpoint), Entries: a.Entries, MaxSize: int64(a.MaxSize),
		OnError: func(err error, lost int) {
			s.metrics.audit.Add(float64(max(lost, 1)))
			s.log.Error("audit", "error", err, "lost", lost)
		},
	}
	var ok bool
	if config.Sync, ok = audit.ParseSyncPolicy(a.Fsync); !ok {
		return nil, fmt.Errorf("fsync: %q is not known", a.Fsync)
	}
	if a.Mode == policy.ModeOff {
		return audit.New(io.Discard, config), nil
	}
	if old != nil && old.policy.Audit.Mode == policy.ModeOff {
		old = nil // what it has writes nothing
	}
	if a.File == "-" {
		if old != nil && old.policy.Audit.File == "-" {
			return old.audit, nil
		}
		return audit.New(s.options.Output, config), nil
	}
	if old != nil && old.policy.Audit.File == a.File && old.policy.Audit.Key == a.Key {
		return old.audit, old.audit.Configure(config)
	}
	key, err := audit.LoadOrCreateKey(AuditKeyPath(p), s.options.Random)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	config.Key = &key
	return audit.Open(p.Path(a.File), config)
}

// AuditKeyPath is the file of the key that signs the checkpoints of p's audit log.
func AuditKeyPath(p *policy.Policy) string {
	return p.Path(strings.TrimPrefix(string(p.Audit.Key), "file:"))
}

func (s *Server) writeAudit(e *audit.Event) error { return s.current.Load().audit.Write(e) }

// auditFault is why requests must be refused for want of an audit log, or nil.
func (s *Server) auditFault() error {
	b := s.current.Load()
	if b == nil || b.policy.Audit.OnFailure != "deny" && b.policy.Audit.Mode != policy.ModeShadow {
		return nil
	}
	return b.audit.Err()
}

// auditMetrics are read from the log that is open.
func (s *Server) auditMetrics(reg prometheus.Registerer) {
	of := func(read func(*audit.Writer) float64) func() float64 {
		return func() float64 {
			if b := s.current.Load(); b != nil && b.audit != nil {
				return read(b.audit)
			}
			return 0
		}
	}
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memgate_audit_available",
			Help: "1 when audit events can be written, 0 when the last attempt failed or too many wait.",
		}, of(func(w *audit.Writer) float64 {
			if w.Err() != nil {
				return 0
			}
			return 1
		})),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memgate_audit_lost",
			Help: "Audit events that were lost since the log was opened.",
		}, of(func(w *audit.Writer) float64 { return float64(w.Stats().Lost) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "memgate_audit_written",
			Help: "Audit events that were written since the log was opened.",
		}, of(func(w *audit.Writer) float64 { return float64(w.Stats().Written) })),
	)
}
