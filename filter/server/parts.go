package server

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/mesh"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/session"
	"github.com/memgate/memgate/filter/token"
	"github.com/memgate/memgate/filter/txntoken"
)

// build is one policy with the parts that it is served with. Parts that hold
// state are taken over from the build before it for as long as their own
// section of the policy stays the same.
type build struct {
	policy *policy.Policy
	deps   authz.Deps
	chain  *authz.Chain
	signer *txntoken.Signer
	api    http.Handler        // sessions API
	audit  *audit.Writer       // nil for an explanation
	limits *limits             // nil for an explanation
	kept   *kept               // nil when no state is kept
	replay *token.MemoryReplay // nil without issuers
	nonces string              // the key of deps.Nonces

	file      *apikey.Store // of API keys; nil without a file of them
	keysPath  string        // of that file, or ""
	keysStamp stamp         // of that file when it was read; used by followKeys alone
	shared    *sharedKeys   // nil without a Redis of API keys

	sessionKey string // of the sessions in kept

	stop context.CancelFunc // ends the refreshing of deps.Tokens
}

// assemble makes the parts of p. It has no effect on the build in force.
func assemble(p *policy.Policy, old *build, limiter ratelimit.Limiter, k *kept, signer *txntoken.Signer, traces *tracing, now func() time.Time, random io.Reader, keysChanged func(error)) (_ *build, err error) {
	b := &build{policy: p, signer: signer, kept: k, stop: func() {}}
	defer func() {
		if err != nil {
			b.shared.dropUnless(old)
		}
	}()
	b.deps.Signer, b.deps.Now = signer, now
	b.deps.Limiter = limiter
	if b.deps.Name, err = nameOf(random); err != nil {
		return nil, err
	}
	if old != nil && reflect.DeepEqual(old.policy.Identity.Issuers, p.Identity.Issuers) && reflect.DeepEqual(old.policy.Access, p.Access) {
		b.deps.Tokens = old.deps.Tokens
	} else if b.deps.Tokens, err = tokens(p, now, traces); err != nil {
		return nil, fmt.Errorf("identity.issuers: %w", err)
	}
	if b.deps.Proofs, b.replay, err = proofs(p, old, limiter, now); err != nil {
		return nil, fmt.Errorf("identity.dpop: %w", err)
	}
	if err := b.openNonces(old, now, random); err != nil {
		return nil, fmt.Errorf("identity.dpop.nonce_key: %w", err)
	}
	if err := b.openKeys(old, traces, now, keysChanged); err != nil {
		return nil, err
	}
	if p.Identity.Mesh != nil {
		if b.deps.Mesh, err = mesh.New(p.MeshRules(), now); err != nil {
			return nil, fmt.Errorf("identity.mesh: %w", err)
		}
	}
	if err := b.sessions(old, now, random); err != nil {
		return nil, err
	}
	if k != nil {
		b.deps.Revoked = k.list
	}
	if b.chain, err = authz.NewChain(p, b.deps); err != nil {
		return nil, err
	}
	b.api, err = sessionsAPI(p, b.deps.Sessions, b.signer, now)
	return b, err
}

// nameOf makes a name that no other build of any process has.
func nameOf(random io.Reader) (string, error) {
	var raw [12]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// signerOf reads the key of the Txn-Token. A key file that does not exist is
// made, so that a first start needs no preparation.
func signerOf(p *policy.Policy, now func() time.Time, random io.Reader) (*txntoken.Signer, error) {
	var key ed25519.PrivateKey
	var err error
	if path, ok := strings.CutPrefix(string(p.Transaction.Key), "file:"); ok {
		key, err = txntoken.LoadOrCreateKey(p.Path(path), random)
	} else {
		var raw []byte
		if raw, err = p.Resolve(p.Transaction.Key); err == nil {
			key, err = txntoken.ParseKey(raw)
		}
	}
	if err != nil {
		return nil, err
	}
	return txntoken.NewSigner(key, p.Transaction.Issuer, time.Duration(p.Transaction.TTL), now)
}

// Chain compiles p for single decisions outside the service. Sessions are those
// of the state, if there is one. There are no counted requests, the keys of
// issuers are fetched when the first token wants them, and Txn-Tokens are signed
// with a key of no value. What it returns beside ends it.
func Chain(ctx context.Context, p *policy.Policy, now func() time.Time, random io.Reader) (*authz.Chain, func(), error) {
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, nil, err
	}
	signer, err := txntoken.NewSigner(key, p.Transaction.Issuer, time.Duration(p.Transaction.TTL), now)
	if err != nil {
		return nil, nil, err
	}
	var k *kept
	// A state file that is not there is not made to explain something.
	if _, missing := os.Stat(p.Path(p.State.File)); p.State.File == "" || missing == nil {
		if k, err = keep(p, nil, now, nil); err != nil {
			return nil, nil, err
		}
	}
	if k != nil {
		k.known(ctx)
	}
	b, err := assemble(p, nil, ratelimit.NewMemory(now, p.Limits.MaxKeys), k, signer, nil, now, random, nil)
	if err != nil {
		k.dropUnless(nil)
		return nil, nil, err
	}
	return b.chain, func() {
		k.dropUnless(nil)
		b.shared.dropUnless(nil)
	}, nil
}

// sessionsAPI serves the sessions that the policy allows, and is nil when it
// allows none. It believes the Txn-Token of this process alone.
func sessionsAPI(p *policy.Policy, store *session.Store, signer *txntoken.Signer, now func() time.Time) (http.Handler, error) {
	if store == nil {
		return nil, nil
	}
	verifier, err := txntoken.NewVerifier(txntoken.VerifierConfig{
		Issuer: p.Transaction.Issuer, Audience: authz.OwnAudience, JWKS: signer.JWKS(), Now: now,
	})
	if err != nil {
		return nil, err
	}
	return session.Handler(store, time.Duration(p.Identity.Sessions.TTL), func(r *http.Request) (*txntoken.Claims, error) {
		return verifier.VerifyHeader(r.Context(), r.Header.Values(txntoken.Header))
	}), nil
}
