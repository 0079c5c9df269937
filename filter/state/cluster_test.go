package state_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/redisconn"
	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/session"
	"github.com/memgate/memgate/filter/state"
)

// clustered is all that can be in a Redis Cluster.
type clustered struct {
	state   state.State
	list    *revocation.List
	records *apikey.Redis
	keys    *apikey.Shared
	limiter *ratelimit.Shared
}

func openCluster(t *testing.T, url string) *clustered {
	t.Helper()
	open := func() *clustered { // of the state and the keys each has its own connections
		client, err := redisconn.Open(url, true)
		if err != nil {
			t.Fatal(err)
		}
		of, err := redisconn.Open(url, true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = of.Close() })
		records, err := apikey.NewRedis(of, "test", []byte("0123456789abcdef0123456789abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		return &clustered{state: state.NewRedis(client, "test", time.Now), records: records}
	}
	c := open()
	var err error
	c.list = revocation.New(revocation.Config{Log: c.state, Now: time.Now, MaxStale: time.Hour})
	if c.keys, err = apikey.NewShared(apikey.SharedConfig{
		Redis: c.records, Env: apikey.Development, MaxKeys: 100, MaxStale: time.Hour, Timeout: 2 * time.Second, Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
	if c.limiter, err = ratelimit.NewShared(ratelimit.SharedConfig{
		URL: url, Cluster: true, Prefix: "test", Timeout: 5 * time.Second, Instances: 2, MaxKeys: 100, Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { c.list.Run(ctx); ended <- struct{}{} }()
	go func() { c.keys.Run(ctx); ended <- struct{}{} }()
	t.Cleanup(func() {
		stop()
		<-ended
		<-ended
		_, _ = c.state.Close(), c.limiter.Close()
	})
	c.await(t)
	return c
}

// await waits until all of it answers.
func (c *clustered) await(t *testing.T) {
	t.Helper()
	harness.Eventually(t, func() error {
		if l, k, r := c.list.Stats().Up, c.keys.Up(), c.limiter.Stats().Up; !l || !k || !r {
			return fmt.Errorf("the state answers: %v, the keys: %v, the limits: %v", l, k, r)
		}
		return nil
	})
}

// revoked waits until the list knows that a token is revoked.
func (c *clustered) revoked(t *testing.T, id string) {
	t.Helper()
	harness.Eventually(t, func() error {
		err := c.list.Check(&identity.Principal{Kind: identity.KindJWT, Issuer: "https://idp.test", Subject: "jane", ID: id})
		if identity.ReasonOf(err) != identity.ReasonTokenRevoked {
			return fmt.Errorf("%s: %v", id, err)
		}
		return nil
	})
}

func revokedToken(id string) revocation.Entry {
	return revocation.Entry{Kind: revocation.KindToken, Issuer: "https://idp.test", ID: id, Made: time.Now()}
}

// use does everything once, with names that no use before had.
func (c *clustered) use(t *testing.T, other *clustered, name string) (key string) {
	t.Helper()
	ctx := patient(t)
	for _, id := range []string{name + "1", name + "2"} {
		if err := c.state.Insert(ctx, stored(id, name, time.Hour), 100); err != nil {
			t.Fatalf("a session: %v", err)
		}
	}
	if all, err := other.state.Of(ctx, name); err != nil || !slices.Equal(names(all), []string{name + "1", name + "2"}) {
		t.Errorf("the sessions of an owner: %v, %v", names(all), err)
	}
	next := stored(name+"1", name, 2*time.Hour)
	next.Data = []byte("renewed")
	if done, err := other.state.Replace(ctx, stored(name+"1", name, 0).Data, next, true); err != nil || !done {
		t.Errorf("a session is replaced: %v, %v", done, err)
	}
	if data, err := c.state.Load(ctx, name+"1"); err != nil || string(data) != "renewed" {
		t.Errorf("a session: %q, %v", data, err)
	}
	if ended, err := c.state.End(ctx, name+"2", "none"); err != nil || !slices.Equal(ended, []string{name + "2"}) {
		t.Errorf("ended: %v, %v", ended, err)
	}
	if err := c.state.Add(ctx, revokedToken(name)); err != nil {
		t.Fatalf("a revocation: %v", err)
	}
	c.revoked(t, name)
	other.revoked(t, name)

	record, key, err := c.records.Create(ctx, apikey.Development, apikey.Record{Tenant: name, Scopes: []string{"a"}}, rand.Reader, time.Now)
	if err != nil {
		t.Fatalf("a key: %v", err)
	}
	for _, of := range []*clustered{c, other} {
		if p, err := of.keys.Verify(ctx, key); err != nil || p.Tenant != name || p.ID != record.ID {
			t.Errorf("a key: %+v, %v", p, err)
		}
	}
	if err := c.records.PutUsed(ctx, map[string]time.Time{record.ID: time.Now()}); err != nil {
		t.Errorf("the use of a key: %v", err)
	}

	fallback := c.limiter.Stats().Fallback
	for i := range 12 { // tenants of all nodes
		group := fmt.Sprintf("%s{%d", name, i)
		buckets := []ratelimit.Bucket{{Key: "all", Rate: ratelimit.Rate{Limit: 2, Per: time.Hour}}, {Key: "jane", Rate: ratelimit.Rate{Limit: 9, Per: time.Hour}}}
		place := &ratelimit.Place{Key: "jane", ID: "one", Limit: 1, Hold: time.Hour}
		if d, free, err := c.limiter.Enter(ctx, group, buckets, place, nil); err != nil || !free || !ratelimit.Allowed(d) {
			t.Fatalf("%s: %+v, %v, %v", group, d, free, err)
		}
		second := &ratelimit.Place{Key: "jane", ID: "two", Limit: 1, Hold: time.Hour}
		if _, free, err := other.limiter.Enter(ctx, group, buckets, second, nil); err != nil || free {
			t.Errorf("%s: one place for two: %v", group, err)
		}
		if d, err := other.limiter.Take(ctx, group, buckets, nil); err != nil || !ratelimit.Allowed(d) || d[0].Remaining != 0 {
			t.Errorf("%s, the second: %+v, %v", group, d, err)
		}
		if d, err := c.limiter.Take(ctx, group, buckets, nil); err != nil || ratelimit.Allowed(d) {
			t.Errorf("%s, the third of two: %+v, %v", group, d, err)
		}
		c.limiter.Leave(group, place.Key, place.ID)
	}
	if n := c.limiter.Stats().Fallback; n != fallback {
		t.Errorf("%d decisions were made without Redis", n-fallback)
	}
	return key
}

// TestCluster runs all of it on a Redis Cluster of three nodes, of which one ends and
// comes back. Without a replica what it had is away, and nothing else.
func TestCluster(t *testing.T) {
	redis := harness.StartRedisCluster(t, 3, 0)
	a, b := openCluster(t, redis.URL), openCluster(t, redis.URL)
	key := a.use(t, b, "first")
	node, ofKeys := redis.Of("{test:state}:revoked"), redis.Of("{test:keys}:records")
	if node == ofKeys {
		t.Fatal("state and keys are to be on different nodes in this test")
	}
	node.Kill()
	harness.Eventually(t, func() error {
		if a.list.Stats().Up {
			return errors.New("the list does not notice")
		}
		return nil
	})
	ctx := patient(t)
	a.revoked(t, "first") // as it is known
	if _, err := a.state.Load(ctx, "first1"); err == nil {
		t.Error("a session of a node that is away")
	}
	if err := a.state.Insert(ctx, stored("x", "x", time.Hour), 100); err == nil || errors.Is(err, session.ErrFull) {
		t.Errorf("a session for a node that is away: %v", err)
	}
	if err := a.state.Add(ctx, revokedToken("x")); err == nil {
		t.Error("a revocation for a node that is away")
	}
	if _, err := b.keys.Verify(ctx, key); err != nil || !b.keys.Up() {
		t.Errorf("a key of a node that is there: %v", err)
	}
	for i := range 12 { // each is decided: by a node that is there, or by this instance
		if d, err := a.limiter.Take(ctx, fmt.Sprintf("away%d", i), []ratelimit.Bucket{{Key: "a", Rate: ratelimit.Rate{Limit: 4, Per: time.Hour}}}, nil); err != nil || !ratelimit.Allowed(d) {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if a.limiter.Stats().Fallback == 0 {
		t.Error("all tenants are on the other nodes")
	}

	node.Restart() // with nothing in it
	a.await(t)
	b.await(t)
	fresh := openCluster(t, redis.URL)
	fresh.revoked(t, "first") // as the others have written it back
	a.use(t, fresh, "second")
}

// TestClusterFailover: when the node with the state ends, its replica goes on.
func TestClusterFailover(t *testing.T) {
	redis := harness.StartRedisCluster(t, 3, 1)
	a, b := openCluster(t, redis.URL), openCluster(t, redis.URL)
	a.use(t, b, "first")
	node := redis.Of("{test:state}:revoked")
	// Redis answers before its replica has what was written, and WAIT counts the
	// writes of its own connection only.
	harness.Eventually(t, func() error {
		info := node.Command("INFO", "replication")
		var written, copied int
		for line := range strings.Lines(info) {
			if n, ok := strings.CutPrefix(line, "master_repl_offset:"); ok {
				written, _ = strconv.Atoi(strings.TrimSpace(n))
			} else if _, n, ok := strings.Cut(line, ",offset="); ok {
				n, _, _ = strings.Cut(n, ",")
				copied, _ = strconv.Atoi(n)
			}
		}
		if written == 0 || copied < written {
			return errors.New("the replica is behind:\n" + info)
		}
		return nil
	})
	node.Kill()
	harness.Eventually(t, func() error { return a.state.Add(context.Background(), revokedToken("x")) })
	b.revoked(t, "x")
	if data, err := b.state.Load(patient(t), "first1"); err != nil || string(data) != "renewed" {
		t.Errorf("a session after the failover: %q, %v", data, err)
	}
	a.await(t)
	b.await(t)
	a.use(t, b, "second")
}
