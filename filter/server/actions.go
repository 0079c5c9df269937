package server

import (
	"context"
	"time"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/policy"
)

// actionsPoll is how often it is looked for what commands did.
const actionsPoll = 500 * time.Millisecond

// ActionsOf is where commands leave what they do for the audit log of p; nil when p has no
// file of one.
func ActionsOf(p *policy.Policy) *audit.Spool {
	if p.Audit.Mode == policy.ModeOff || p.Audit.File == "-" {
		return nil
	}
	return audit.NewSpool(p.Path(p.Audit.File))
}

// followActions writes to the audit log what commands did, those included that were run
// while there was no process.
func (s *Server) followActions(ctx context.Context) {
	tick := time.NewTicker(actionsPoll)
	defer tick.Stop()
	var spool *audit.Spool
	var of *audit.Writer
	last := ""
	for {
		b := s.current.Load()
		if b.audit != of {
			spool, of = ActionsOf(b.policy), b.audit
		}
		if spool != nil {
			_, err := spool.Take(b.audit)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != "" && text != last {
				s.log.Error("what commands did is not in the audit log yet", "error", err)
			}
			last = text
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
