package api

import (
	"context"
	"errors"
)

// sweeper is who forgets what is kept no longer, in histories.
const sweeper = "retention"

// Sweep forgets, for every tenant, what its policy keeps no longer and what nobody confirmed in time. It returns
// how many memories these were. A tenant that fails does not keep the others from it.
func (s *Server) Sweep(ctx context.Context) (int, error) {
	total := 0
	var failed []error
	err := s.raw.Tenants(ctx, func(tenant string) bool {
		n, err := s.guard.Sweep(ctx, tenant, sweeper)
		if total += n; err != nil {
			failed = append(failed, err)
		}
		return ctx.Err() == nil
	})
	return total, errors.Join(append(failed, err)...)
}
