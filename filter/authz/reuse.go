package authz

import (
	"encoding/base64"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/txntoken"
)

// table keeps a bounded number of derived values, each in the one slot that the
// hash of what it was derived from names: a newer value takes the place of an
// older one. It has no lock. Whoever reads a value compares what it was derived
// from, as two hashes may be equal.
type table[V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[V]
}

func newTable[V any](slots int) table[V] {
	return table[V]{maphash.MakeSeed(), make([]atomic.Pointer[V], slots)}
}

func (t *table[V]) slot(hash uint64) *atomic.Pointer[V] { return &t.slots[hash%uint64(len(t.slots))] }

// Slots of the tables of a chain: the callers, and the tenants, that gain from
// them at one time.
const (
	signedSlots = 4096
	tenantSlots = 1024
)

// identities signs the Txn-Tokens of a chain. Within a window it hands out one
// token to all requests that it would say the same of but for the transaction's
// id, as a signature costs more than all the rest of a decision.
type identities struct {
	signer *txntoken.Signer
	now    func() time.Time
	window time.Duration // 0: each request has a token of its own
	table  table[signed]
}

type signed struct {
	claims txntoken.Claims // without the id
	token  string
	at     time.Time
}

func newIdentities(signer *txntoken.Signer, now func() time.Time, window time.Duration) *identities {
	i := &identities{signer: signer, now: now, window: window}
	if window > 0 {
		i.table = newTable[signed](signedSlots)
	}
	return i
}

// sign returns a token that says c. Its id is that of c, or of the request for
// which it was signed at most a window ago.
func (i *identities) sign(c txntoken.Claims) (string, error) {
	if i.window <= 0 || c.Audience == OwnAudience || c.ID == "" {
		return i.signer.Sign(c) // which refuses one without an id
	}
	slot, now := i.table.slot(hashOf(i.table.seed, &c)), i.now()
	if have := slot.Load(); have != nil && same(&have.claims, &c) {
		// A clock that went backwards makes no token last longer.
		if age := now.Sub(have.at); age >= 0 && age < i.window {
			return have.token, nil
		}
	}
	token, err := i.signer.Sign(c)
	if err != nil {
		return "", err
	}
	c.ID = ""
	slot.Store(&signed{c, token, now})
	return token, nil
}

func hashOf(seed maphash.Seed, c *txntoken.Claims) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, s := range [...]string{c.Audience, c.Subject, c.Tenant, c.Agent, c.Kind, c.Principal, c.Bound, c.Trust} {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	for _, s := range c.Scopes {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// same says whether a token for a says what one for b would, but for the id.
func same(a, b *txntoken.Claims) bool {
	return a.Audience == b.Audience && a.Subject == b.Subject && a.Tenant == b.Tenant && a.Agent == b.Agent &&
		a.Kind == b.Kind && a.Principal == b.Principal && a.Bound == b.Bound && a.Trust == b.Trust && slices.Equal(a.Scopes, b.Scopes) &&
		a.PrincipalIssuer == b.PrincipalIssuer && a.PrincipalIssued.Equal(b.PrincipalIssued)
}

// tenantKeys derives the keys of tenants' hashes, and remembers some.
type tenantKeys struct {
	master []byte
	table  table[tenantKey]
}

type tenantKey struct{ tenant, key string }

func newTenantKeys(master []byte) *tenantKeys {
	return &tenantKeys{master, newTable[tenantKey](tenantSlots)}
}

// of returns the key of a tenant in base64url.
func (k *tenantKeys) of(tenant string) string {
	slot := k.table.slot(maphash.String(k.table.seed, tenant))
	if have := slot.Load(); have != nil && have.tenant == tenant {
		return have.key
	}
	key := base64.RawURLEncoding.EncodeToString(TenantKey(k.master, tenant))
	slot.Store(&tenantKey{tenant, key})
	return key
}
