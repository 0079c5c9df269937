package server

import (
	"io"
	"slices"
	"time"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/token"
)

// openNonces makes the nonces that proofs must have, where an issuer wants them. A key that
// the policy does not name lasts as long as the process.
func (b *build) openNonces(old *build, now func() time.Time, random io.Reader) error {
	if !slices.ContainsFunc(b.policy.Identity.Issuers, func(i policy.Issuer) bool { return i.DPoPNonce }) {
		return nil
	}
	config := &b.policy.Identity.DPoP
	key := make([]byte, token.MinNonceKey)
	var err error
	switch {
	case config.NonceKey != "":
		key, err = b.policy.Resolve(config.NonceKey)
	case old != nil && old.nonces != "" && old.policy.Identity.DPoP.NonceKey == "":
		key = []byte(old.nonces)
	default:
		_, err = io.ReadFull(random, key)
	}
	if err != nil {
		return err
	}
	b.nonces = string(key)
	b.deps.Nonces, err = token.NewNonces(key, time.Duration(config.NonceTTL), now)
	return err
}
