package authz

import "github.com/memgate/memgate/filter/identity"

// StageAudit is before all others: what cannot be written down is not done, where
// the policy says so.
const StageAudit Stage = "audit"

// ReasonAudit is that audit events cannot be written at the moment.
const ReasonAudit identity.Reason = "audit_unavailable"

// Guard sets what each check asks first: why audit events cannot be written, so
// that the request is refused, or nil. It is to be called before the first check.
func (s *Service) Guard(unavailable func() error) { s.unaudited = unavailable }
