package authz

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/ratelimit"
)

// class is what a request of a class counts in: the bucket of its tenant, and
// those of the parties in it that the policy limits beside.
type class struct {
	name    string
	cost    int
	buckets []classBucket // the tenant's first
	place   string        // the key of the places that it takes one of
	most    int           // how many of them there are; 0 for no limit
}

type classBucket struct {
	ratelimit.Bucket        // its key is completed by the party
	name             string // in the response headers
	of               func(*parties) string
}

// parties are whom a request is counted for within its tenant. One that is ""
// is not counted for.
type parties struct {
	tenant, principal, agent, address string
}

// maxParty is the longest name that is counted as it is, in bytes: a caller can
// make that of an agent as long as a path.
const maxParty = 256

// partiesOf says whom a request of p in a class is counted for. agent is the one
// that the path names, or "". A client without an address is counted with all of
// its kind.
func partiesOf(in *class, p *identity.Principal, agent, address string) *parties {
	if len(in.buckets) == 1 {
		return &parties{tenant: p.Tenant}
	}
	if agent == "" {
		agent = p.Agent
	}
	return &parties{tenant: p.Tenant, principal: p.Issuer + "\x00" + p.Subject, agent: bounded(agent), address: network(address)}
}

// bounded is name, or its digest when it is long.
func bounded(name string) string {
	if len(name) <= maxParty {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// network is an address as the limits see it: IPv6 by its /64, which is the
// least that one client has.
func network(address string) string {
	// The rate-limit service gets them from Envoy with a prefix, too.
	text, _, _ := strings.Cut(address, "/")
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return "unknown"
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}

// class compiles the class of that name, with the bucket of the tenant given.
func (c *Chain) class(name string, tenant ratelimit.Bucket, shown string, weight int) class {
	out := class{name: shown, cost: weight, buckets: []classBucket{{tenant, shown, func(*parties) string { return "" }}}}
	limits := &c.policy.Limits
	if at := limits.Concurrency; at != nil {
		out.place, out.most = "tenant", at.Tenant
		if own, ok := at.Classes[name]; ok {
			out.place, out.most = "class:"+name, own
		}
	}
	for _, beside := range [...]struct {
		name  string
		rates map[string]policy.Rate
		of    func(*parties) string
	}{
		{"principal", limits.PerPrincipal, func(p *parties) string { return p.principal }},
		{"agent", limits.PerAgent, func(p *parties) string { return p.agent }},
		{"address", limits.PerAddress, func(p *parties) string { return p.address }},
	} {
		if rate, ok := beside.rates[name]; ok {
			out.buckets = append(out.buckets, classBucket{
				ratelimit.Bucket{Key: beside.name + "\x00" + name + "\x00", Rate: ratelimit.Rate(rate)}, name + "-" + beside.name, beside.of,
			})
		}
	}
	return out
}

// classBucketOf is the bucket of a tenant in a class.
func classBucketOf(name string, rate policy.Rate) ratelimit.Bucket {
	return ratelimit.Bucket{Key: "class\x00" + name, Rate: ratelimit.Rate(rate)}
}

// classesOf compiles the classes of the policy.
func (c *Chain) classesOf() map[string]class {
	out := make(map[string]class, len(c.policy.Limits.Classes))
	for name, rate := range c.policy.Limits.Classes {
		out[name] = c.class(name, classBucketOf(name, rate), name, 1)
	}
	return out
}

// maxBuckets is how many buckets a class has at most.
const maxBuckets = 4

// quota is what the limiter said of one request. The slices begin in the arrays.
type quota struct {
	names     []string
	buckets   []ratelimit.Bucket
	decisions []ratelimit.Decision
	place     string // the lease of the request's place, or ""
	full      bool   // no place was free

	namesRoom     [maxBuckets]string
	bucketsRoom   [maxBuckets]ratelimit.Bucket
	decisionsRoom [maxBuckets]ratelimit.Decision
}

func (q *quota) allowed() bool { return !q.full && ratelimit.Allowed(q.decisions) }

func (q *quota) headers(dst []headers.Header) []headers.Header {
	return ratelimit.Headers(dst, q.names, q.buckets, q.decisions)
}

// count counts a request in all buckets of its class and takes its place among
// those under way, if id is not "", or does neither.
func (c *Chain) count(ctx context.Context, in *class, p *parties, cost int, id string) (*quota, error) {
	q := &quota{}
	q.names, q.buckets, q.decisions = q.namesRoom[:0], q.bucketsRoom[:0], q.decisionsRoom[:0]
	for i := range in.buckets {
		b := &in.buckets[i]
		party := b.of(p)
		if i > 0 && party == "" {
			continue
		}
		bucket := b.Bucket
		if party != "" {
			bucket.Key += party
		}
		bucket.Cost = cost
		q.names, q.buckets = append(q.names, b.name), append(q.buckets, bucket)
	}
	var place *ratelimit.Place
	if id != "" && in.most > 0 {
		place = &ratelimit.Place{Key: in.place, ID: id, Limit: in.most, Hold: c.hold}
	}
	var free bool
	var err error
	q.decisions, free, err = c.deps.Limiter.Enter(ctx, p.tenant, q.buckets, place, q.decisions)
	if q.full = err == nil && !free; place != nil && err == nil && q.allowed() {
		q.place = leaseOf(in.place, id)
	}
	return q, err
}
