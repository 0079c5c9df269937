package authz

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/txntoken"
)

// Requests of one credential share a token for a while; each says so by its txn,
// and has an id of its own beside it.
func TestTxnTokenServesAWindow(t *testing.T) {
	f := newFixture(t, strings.Replace(testPolicy, "write: 2/m", "write: 1000/s", 1))
	auth := "Authorization: Bearer " + f.token(t, "memory:write")
	ask := func(id string) (token string, c *txntoken.Claims) {
		t.Helper()
		r := request("POST", "/agents/a/remember", auth)
		r.ID = id
		d := f.chain.Decide(context.Background(), r)
		if !d.Allowed || get(d.Upstream, HeaderRequestID) != id {
			t.Fatalf("%+v", d)
		}
		token = get(d.Upstream, HeaderTxnToken)
		c, err := f.txn.Verify(context.Background(), token)
		if err != nil {
			t.Fatal(err)
		}
		return token, c
	}
	first, c := ask("one")
	if c.ID != "one" {
		t.Fatalf("txn %q", c.ID)
	}
	f.now = f.now.Add(5*time.Second - 1)
	if again, c := ask("two"); again != first || c.ID != "one" {
		t.Fatalf("within the window: txn %q, the same token: %v", c.ID, again == first)
	}
	f.now = f.now.Add(1)
	third, c := ask("three")
	if third == first || c.ID != "three" || !c.Expires.Equal(f.now.Truncate(time.Second).Add(30*time.Second)) {
		t.Fatalf("after the window: %+v", c)
	}
}

// A clock that is set back makes no token last longer.
func TestTxnTokenOfTheFutureIsNotUsed(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	i := newIdentities(signerOf(t, clock), clock, 5*time.Second)
	c := txntoken.Claims{ID: "1", Audience: "a", Subject: "s"}
	first, err := i.sign(c)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Minute)
	if second, err := i.sign(c); err != nil || second == first {
		t.Fatalf("the token of the future was used (%v)", err)
	}
}

// With 0s a backend can take each token once.
func TestTxnTokenOfEachRequest(t *testing.T) {
	f := newFixture(t, testPolicy+"transaction: { reuse: 0s }\n")
	auth := "Authorization: Bearer " + f.token(t, "memory:write")
	for _, id := range []string{"one", "two"} {
		r := request("POST", "/agents/a/remember", auth)
		r.ID = id
		d := f.chain.Decide(context.Background(), r)
		if c, err := f.txn.Verify(context.Background(), get(d.Upstream, HeaderTxnToken)); err != nil || c.ID != id {
			t.Fatalf("%+v %v", c, err)
		}
	}
}

// A token must outlast the window by half of its life.
func TestReuseEndsWithHalfOfTheLife(t *testing.T) {
	f := newFixture(t, testPolicy+"transaction: { ttl: 4s, reuse: 1m }\n")
	if f.chain.identities.window != 2*time.Second {
		t.Fatalf("%v", f.chain.identities.window)
	}
}

func signerOf(t testing.TB, now func() time.Time) *txntoken.Signer {
	t.Helper()
	s, err := txntoken.NewSigner(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "memgate", 30*time.Second, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever one caller differs in from another, none gets a token that was signed
// for the other: not even where their hashes are the same.
func TestReusedTokenSaysTheSame(t *testing.T) {
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	signer := signerOf(t, now)
	verifier, err := txntoken.NewVerifier(txntoken.VerifierConfig{Issuer: "memgate", Audience: "a", JWKS: signer.JWKS(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	base := txntoken.Claims{ID: "0", Audience: "a", Subject: "s", Tenant: "t", Agent: "g", Kind: "jwt", Principal: "p", Bound: "b", Trust: "trusted", Scopes: []string{"x", "y"}}
	callers := []txntoken.Claims{base}
	for _, change := range []func(*txntoken.Claims){
		func(c *txntoken.Claims) { c.Subject = "sx" },
		func(c *txntoken.Claims) { c.Tenant = "tx" },
		func(c *txntoken.Claims) { c.Agent = "" },
		func(c *txntoken.Claims) { c.Kind = "session" },
		func(c *txntoken.Claims) { c.Principal = "px" },
		func(c *txntoken.Claims) { c.Bound = "" },
		func(c *txntoken.Claims) { c.Trust = "" },
		func(c *txntoken.Claims) { c.Trust = "unconfirmed" },
		func(c *txntoken.Claims) { c.Scopes = []string{"x"} },
		func(c *txntoken.Claims) { c.Scopes = nil },
		func(c *txntoken.Claims) { c.Scopes = []string{"x", "y", "z"} },
	} {
		c := base
		change(&c)
		callers = append(callers, c)
	}
	i := newIdentities(signer, now, 5*time.Second)
	i.table = newTable[signed](1) // each takes the place of the one before
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := range 200 {
				want := callers[(n/3+worker)%len(callers)]
				want.ID = fmt.Sprint(worker, n)
				token, err := i.sign(want)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := verifier.Verify(context.Background(), token)
				if err != nil || !same(&txntoken.Claims{
					Audience: got.Audience, Subject: got.Subject, Tenant: got.Tenant, Agent: got.Agent,
					Kind: got.Kind, Principal: got.Principal, Bound: got.Bound, Trust: got.Trust, Scopes: got.Scopes,
				}, &want) {
					t.Errorf("%+v (%v), want %+v", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

// memgate's own API gets a token for each request.
func TestOwnAudienceIsNotReused(t *testing.T) {
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	i := newIdentities(signerOf(t, now), now, 5*time.Second)
	c := txntoken.Claims{ID: "1", Audience: OwnAudience, Subject: "s"}
	first, err := i.sign(c)
	if err != nil {
		t.Fatal(err)
	}
	c.ID = "2"
	if second, err := i.sign(c); err != nil || first == second {
		t.Fatalf("the same token (%v)", err)
	}
	c.Audience = "a"
	if _, err := i.sign(c); err != nil {
		t.Fatal(err)
	}
	c.ID = ""
	if _, err := i.sign(c); err == nil {
		t.Fatal("a request without an id got the token of another")
	}
	c.ID, c.Subject = "3", ""
	if _, err := i.sign(c); err == nil {
		t.Fatal("a token for nobody")
	}
}

func TestTenantKeysAreTheirOwn(t *testing.T) {
	k := newTenantKeys([]byte("master"))
	k.table = newTable[tenantKey](1)
	var seen []string
	for range 3 {
		for n, tenant := range []string{"", "a", "b", "c"} {
			got := k.of(tenant)
			if len(seen) <= n {
				if slices.Contains(seen, got) {
					t.Fatalf("%q has the key of another", tenant)
				}
				seen = append(seen, got)
			} else if got != seen[n] {
				t.Fatalf("the key of %q changed", tenant)
			}
		}
	}
}

// Any number of tenants leaves as many keys as there are slots.
func TestTenantKeysAreBounded(t *testing.T) {
	k := newTenantKeys([]byte("master"))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for n := range 50_000 {
		k.of("tenant-" + strconv.Itoa(n))
	}
	if grown := heap() - before; grown > tenantSlots*1024 || len(k.table.slots) != tenantSlots {
		t.Errorf("%d bytes more, %d slots", grown, len(k.table.slots))
	}
}
