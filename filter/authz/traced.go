package authz

import "context"

// Tracer is told of each check. It decides which of them it follows.
type Tracer interface {
	// Begin returns the context in which the check goes on, and what is told of its
	// end, or nil for a check that is not followed.
	Begin(ctx context.Context) (context.Context, Traced)
}

// Traced is a check that a [Tracer] follows.
type Traced interface {
	// End is called once, when the request is decided. It keeps nothing of d.
	End(d *Decision)
}

// Trace sets who is told of checks. It is to be called before the first one.
func (s *Service) Trace(t Tracer) { s.tracer = t }
