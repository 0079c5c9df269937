// Package rights keeps to what people may demand of what is remembered about them: that they consented, that
// it is not used for more, that it is not kept for longer, that what a reviewer holds back stays back, and
// that it can be shown who read it.
//
// A Guard stands before a store of memories. What is asked of it sees no memory that the rights of its tenant
// keep from the one who asks.
package rights

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Limits of what a tenant decides.
const (
	MaxPurposes = 32        // purposes of one user, and of one tenant's required ones
	MaxPurpose  = 64        // bytes of a purpose
	MaxDays     = 100 * 365 // days of retention
	maxPolicy   = 256 << 10 // bytes of a tenant's policy, with the refusals of all users
	recordKind  = "policy"  // of the policy
	consentKind = "consent" // of what each user consented to
	everything  = "memory"  // the purpose of remembering at all
)

// Errors of a Guard.
var (
	// ErrConsent: the user did not consent to what a write needs, or withdrew it.
	ErrConsent = errors.New("rights: consent is missing")
	// ErrHold: a legal hold keeps the memory from being deleted.
	ErrHold = errors.New("rights: under a legal hold")
	// ErrTooMany: a tenant has more refusals than are kept.
	ErrTooMany = errors.New("rights: too many refusals")
)

// Policy is what a tenant decided.
type Policy struct {
	KeepDays    int      `json:"keep_days"`    // memories older than this are forgotten; 0: kept
	ExpiredDays int      `json:"expired_days"` // memories that ran out are forgotten so long after; 0: kept
	Required    []string `json:"required"`     // purposes that a user must have consented to before anything is remembered of them

	Refusals map[string]Refusal `json:"refusals,omitempty"` // by user; only of those who refused something
}

// Refusal is what a user refused.
type Refusal struct {
	Withdrawn []string `json:"withdrawn,omitempty"`   // purposes, sorted
	NoSale    bool     `json:"do_not_sell,omitempty"` // not for purposes of sale
	Limited   bool     `json:"limit_use,omitempty"`   // for no purpose but the service itself
}

// sales are the purposes that a do-not-sell flag forbids.
var sales = []string{"advertising", "sale", "sharing"}

// refuses reports whether memories of the user must not be used for a purpose; "" is the service itself.
func (p *Policy) refuses(r Refusal, purpose string) bool {
	for _, w := range r.Withdrawn {
		if w == everything || w == purpose || slices.Contains(p.Required, w) {
			return true
		}
	}
	return purpose != "" && (r.Limited || r.NoSale && slices.Contains(sales, purpose))
}

// refusing returns the users whose memories must not be used for a purpose, sorted.
func (p *Policy) refusing(purpose string) []string {
	var users []string
	for user, r := range p.Refusals {
		if p.refuses(r, purpose) {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// visible is the filter for what the policy lets anyone see at a time.
func (p *Policy) visible(now time.Time, purpose string) memory.And {
	f := memory.And{memory.Eq(memory.FieldHeld, "false"), memory.Not{Filter: memory.Lapsed(now)}}
	if p.KeepDays > 0 {
		f = append(f, memory.Not{Filter: p.outdated(now)})
	}
	if users := p.refusing(purpose); len(users) > 0 {
		f = append(f, memory.Not{Filter: memory.In(memory.FieldUser, users...)})
	}
	return f
}

// outdated is the filter for what is older than it may be.
func (p *Policy) outdated(now time.Time) memory.Filter {
	end := now.AddDate(0, 0, -p.KeepDays)
	return memory.And{memory.Cond{Field: memory.FieldCreated, Op: memory.OpLt, Values: []any{end}}, memory.Eq(memory.FieldHold, "false")}
}

// Policy returns what a tenant decided.
func (g *Guard) Policy(ctx context.Context, tenant string) (*Policy, error) {
	data, err := g.Store.Record(ctx, tenant, recordKind, "")
	if err != nil {
		return nil, err
	}
	return decodePolicy(data)
}

func decodePolicy(data []byte) (*Policy, error) {
	p := new(Policy)
	if data == nil {
		return p, nil
	}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, errors.Join(memory.ErrCorrupt, err)
	}
	return p, nil
}

// EditPolicy changes what a tenant decided.
func (g *Guard) EditPolicy(ctx context.Context, tenant string, edit func(*Policy)) error {
	return g.Store.EditRecords(ctx, tenant, recordKind, []string{""}, func(_ string, old []byte) ([]byte, error) {
		p, err := decodePolicy(old)
		if err != nil {
			return nil, err
		}
		edit(p)
		data, err := json.Marshal(p)
		if len(data) > maxPolicy {
			return nil, ErrTooMany
		}
		return data, err
	})
}
