package apikey

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// Store verifies keys by a key file. Reads take no lock; it is safe for concurrent use.
type Store struct {
	env    Environment
	path   string
	pepper []byte
	now    func() time.Time
	keys   atomic.Pointer[map[string]*known]
}

// known is one key that is in force, or was.
type known struct {
	hash             [sha256.Size]byte
	principal        *identity.Principal
	expires, revoked time.Time
	used             atomic.Int64 // Unix time of its last use that was not taken yet; 0 for none
}

func newKnown(r *Record) (*known, error) {
	hash, err := parseHash(r.Hash)
	if err != nil {
		return nil, err
	}
	subject := r.Subject
	if subject == "" {
		subject = "key:" + r.ID
	}
	return &known{
		hash: hash, expires: r.Expires, revoked: r.Revoked,
		principal: &identity.Principal{
			Kind: identity.KindAPIKey, Subject: subject, Tenant: r.Tenant,
			Scopes: identity.NormalizeScopes(slices.Clone(r.Scopes)),
			ID:     r.ID, Issued: r.Created, Expires: earliest(r.Expires, r.Revoked),
		},
	}, nil
}

// isRevoked says whether k is known and was revoked.
func (k *known) isRevoked(now time.Time) bool {
	return k != nil && !k.revoked.IsZero() && !now.Before(k.revoked)
}

// check compares what was presented with what is known, which is nil for an unknown id.
func (k *known) check(presented [sha256.Size]byte, now time.Time) (*identity.Principal, error) {
	var want [sha256.Size]byte // what an unknown id is compared with: no one's hash
	if k != nil {
		want = k.hash
	}
	equal := subtle.ConstantTimeCompare(presented[:], want[:]) == 1
	switch {
	case k == nil || !equal:
		return nil, identity.Unauthenticated(identity.ReasonAPIKeyUnknown, nil)
	case k.isRevoked(now):
		return nil, identity.Unauthenticated(identity.ReasonAPIKeyRevoked, nil)
	case !k.expires.IsZero() && !now.Before(k.expires):
		return nil, identity.Unauthenticated(identity.ReasonAPIKeyExpired, nil)
	}
	// Most requests come within the same second as the one before, and write nothing.
	if t := now.Unix(); k.used.Load() != t {
		k.used.Store(t)
	}
	return k.principal, nil
}

// take moves the time of k's last use to dst.
func (k *known) take(dst map[string]time.Time) {
	if t := k.used.Swap(0); t != 0 {
		dst[k.principal.ID] = time.Unix(t, 0)
	}
}

// Open reads the key file at path. It fails when the file is not there (fs.ErrNotExist),
// when others than its owner may read or write it ([ownerfile.ErrOpen]), or when anything in
// it is wrong; see Create for its making. Only keys of env are accepted. The pepper has at least MinPepper bytes and must
// be the one that the keys were created with.
func Open(path string, env Environment, pepper []byte, now func() time.Time) (*Store, error) {
	switch {
	case len(pepper) < MinPepper:
		return nil, errPepper
	case !env.valid():
		return nil, errEnvironment
	}
	s := &Store{path: path, env: env, pepper: slices.Clone(pepper), now: now}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the key file again. After an error, which says what is wrong with the file,
// the keys that were read before stay in force.
func (s *Store) Reload() error {
	records, err := List(s.path)
	if err != nil {
		return err
	}
	keys := make(map[string]*known, len(records))
	for i := range records {
		k, err := newKnown(&records[i])
		if err != nil {
			return err
		}
		keys[records[i].ID] = k
	}
	if old := s.keys.Load(); old != nil {
		for id, k := range *old {
			if next := keys[id]; next != nil {
				next.used.Store(k.used.Swap(0))
			}
		}
	}
	s.keys.Store(&keys)
	return nil
}

// earliest returns the earlier of two times of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Len returns the number of keys in force, those that expired or were revoked included.
func (s *Store) Len() int { return len(*s.keys.Load()) }

// Revoked says whether the key called id was revoked. One that is not known was not.
func (s *Store) Revoked(_ context.Context, id string) bool {
	return (*s.keys.Load())[id].isRevoked(s.now())
}

// TakeUsed returns when keys were used last since it was called before. It is for one
// caller, who puts that away.
func (s *Store) TakeUsed() map[string]time.Time {
	used := make(map[string]time.Time)
	for _, k := range *s.keys.Load() {
		k.take(used)
	}
	return used
}

// Verify verifies one key. Each error is an *identity.Error of ClassUnauthenticated. A key
// of a known id but a wrong secret gets the same reason as an unknown one, after the same
// work; that a key expired or was revoked is only found for the right secret.
func (s *Store) Verify(_ context.Context, key string) (*identity.Principal, error) {
	env, id, reason := parse(key)
	if reason != "" {
		return nil, identity.Unauthenticated(reason, nil)
	}
	if env != s.env {
		return nil, identity.Unauthenticated(identity.ReasonAPIKeyEnvironment, nil)
	}
	return (*s.keys.Load())[id].check(mac(s.pepper, key), s.now())
}
