package rights

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Consent is what a user agreed to and refused.
type Consent struct {
	User     string             `json:"user_id"`
	Purposes map[string]Purpose `json:"purposes"`
	NoSale   bool               `json:"do_not_sell"`
	Limited  bool               `json:"limit_use"`
	Updated  time.Time          `json:"updated_at"`
}

// Purpose is what a user said last about one purpose.
type Purpose struct {
	Granted bool      `json:"granted"`
	Source  string    `json:"source"` // how it was said, for example "sign-up form"
	By      string    `json:"by"`     // the verified subject that recorded it
	At      time.Time `json:"at"`
}

// refusal is what of it keeps memories back.
func (c *Consent) refusal() Refusal {
	r := Refusal{NoSale: c.NoSale, Limited: c.Limited}
	for name, p := range c.Purposes {
		if !p.Granted {
			r.Withdrawn = append(r.Withdrawn, name)
		}
	}
	slices.Sort(r.Withdrawn)
	return r
}

func decodeConsent(user string, data []byte) (*Consent, error) {
	c := &Consent{User: user, Purposes: map[string]Purpose{}}
	if data == nil {
		return c, nil
	}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, errors.Join(memory.ErrCorrupt, err)
	}
	return c, nil
}

// Consent returns what a user agreed to; of one who said nothing, nothing.
func (g *Guard) Consent(ctx context.Context, tenant, user string) (*Consent, error) {
	data, err := g.Store.Record(ctx, tenant, consentKind, user)
	if err != nil {
		return nil, err
	}
	return decodeConsent(user, data)
}

// EditConsent records what a user said. What they refuse counts before it is recorded, and what they grant only
// after that, so that a crash in between refuses too much rather than too little. An error of edit is returned
// as it is, and nothing is recorded.
func (g *Guard) EditConsent(ctx context.Context, tenant, user string, edit func(*Consent) error) (*Consent, error) {
	var c *Consent
	apply := func(both bool) error {
		return g.EditPolicy(ctx, tenant, func(p *Policy) {
			r := c.refusal()
			if both {
				before := p.Refusals[user]
				r = Refusal{append(r.Withdrawn, before.Withdrawn...), r.NoSale || before.NoSale, r.Limited || before.Limited}
				slices.Sort(r.Withdrawn)
				r.Withdrawn = slices.Compact(r.Withdrawn)
			}
			delete(p.Refusals, user)
			if len(r.Withdrawn) > 0 || r.NoSale || r.Limited {
				if p.Refusals == nil {
					p.Refusals = map[string]Refusal{}
				}
				p.Refusals[user] = r
			}
		})
	}
	c, err := g.Consent(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	if err := edit(c); err != nil {
		return nil, err
	}
	if err := apply(true); err != nil {
		return nil, err
	}
	if err := g.Store.EditRecords(ctx, tenant, consentKind, []string{user}, func(_ string, old []byte) ([]byte, error) {
		if c, err = decodeConsent(user, old); err != nil {
			return nil, err
		}
		if err := edit(c); err != nil {
			return nil, err
		}
		return json.Marshal(c)
	}); err != nil {
		return nil, err
	}
	return c, apply(false)
}

// consented fails with ErrConsent unless every user whom the memories are about agreed to what the tenant
// requires, and did not withdraw that anything is remembered.
func (g *Guard) consented(ctx context.Context, tenant string, memories []*memory.Memory) error {
	p, err := g.Policy(ctx, tenant)
	if err != nil {
		return err
	}
	known := map[string]bool{"": true}
	for _, m := range memories {
		if known[m.User] {
			continue
		}
		known[m.User] = true
		if p.refuses(p.Refusals[m.User], "") {
			return ErrConsent
		}
		if len(p.Required) == 0 {
			continue
		}
		c, err := g.Consent(ctx, tenant, m.User)
		if err != nil {
			return err
		}
		for _, purpose := range p.Required {
			if !c.Purposes[purpose].Granted {
				return ErrConsent
			}
		}
	}
	return nil
}
