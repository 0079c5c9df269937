package policy

import (
	"slices"
	"strconv"
)

// Limits are rates per tenant and beside it.
type Limits struct {
	Mode         string          `yaml:"mode" doc:"enforce refuses a request above a rate; shadow counts all the same, lets it pass and audits that it would be refused, without RateLimit headers; off does not count; before_auth is always enforced" enum:"enforce,shadow,off" default:"enforce"`
	Store        string          `yaml:"store" doc:"where counters live: in each instance by itself, or in a Redis that instances share" enum:"memory,redis" default:"memory"`
	Redis        *Redis          `yaml:"redis" doc:"the Redis of store: redis"`
	MaxKeys      int             `yaml:"max_keys" doc:"counters that one instance holds at once" default:"100000" min:"1"`
	Classes      map[string]Rate `yaml:"classes" doc:"class name to rate, such as 60/m" default:"write=60/m,read=120/m"`
	PerPrincipal map[string]Rate `yaml:"per_principal" doc:"class name to the rate of each principal (issuer and subject) of a tenant, beside the tenant's"`
	PerAgent     map[string]Rate `yaml:"per_agent" doc:"class name to the rate of each agent of a tenant: the agent_id of the path, else the agent of the session"`
	PerAddress   map[string]Rate `yaml:"per_address" doc:"class name to the rate of each client address in a tenant, as Envoy determined it; IPv6 by its /64"`
	Concurrency  *Concurrency    `yaml:"concurrency" doc:"requests of a tenant that may be under way at once, counted until Envoy's access log says that they have ended"`
	BeforeAuth   *Rate           `yaml:"before_auth" doc:"rate of each client address, counted by each Envoy before any credential is looked at, against guessing; IPv6 by its /64"`
}

// Redis is where instances of memgate share their counters.
type Redis struct {
	URL       Secret   `yaml:"url" doc:"redis://[user:password@]host:port, or rediss:// for TLS; it may hold a password, so it is env:NAME or file:PATH" required:"true"`
	Cluster   bool     `yaml:"cluster" doc:"whether it is a Redis Cluster; more of its nodes stand in the URL as ?addr=host:port"`
	Prefix    string   `yaml:"prefix" doc:"what the names of all keys start with" default:"memgate"`
	Timeout   Duration `yaml:"timeout" doc:"how long a request waits for Redis before this instance decides by itself" default:"20ms" min:"1ms" max:"500ms"`
	Instances int      `yaml:"instances" doc:"instances of memgate that share it; while it is away each keeps this part of each rate" default:"1" min:"1" max:"1000"`
}

func (l *linter) limits() {
	p := &l.p.Limits
	for _, name := range sortedKeys(p.Classes) {
		path := join("limits.classes", name)
		if !isClassName(name) {
			l.err(path, "class", "a class's name is made of lower-case letters, digits, '_' and '-', at most 32 of them")
		}
		if p.Classes[name].Limit == 0 {
			l.err(path, "limit-zero", "a limit of zero refuses every request of the class; remove the routes instead")
		}
	}
	for _, m := range [...]struct {
		name  string
		rates map[string]Rate
	}{{"limits.per_principal", p.PerPrincipal}, {"limits.per_agent", p.PerAgent}, {"limits.per_address", p.PerAddress}} {
		classes := sortedKeys(p.Classes)
		for _, name := range sortedKeys(m.rates) {
			if !slices.Contains(classes, name) {
				l.err(join(m.name, name), "class", "limits.classes has no class %s%s", show(name), didYouMean(name, classes))
			}
			if m.rates[name].Limit == 0 {
				l.err(join(m.name, name), "limit-zero", "a limit of zero refuses every request of the class; remove the routes instead")
			}
		}
	}
	if p.BeforeAuth != nil && p.BeforeAuth.Limit == 0 {
		l.err("limits.before_auth", "limit-zero", "a limit of zero refuses every request; remove it for none")
	}
	l.concurrency()
	switch {
	case p.Store == "redis" && p.Redis == nil:
		l.err("limits.store", "redis", "store: redis needs to know where Redis is; add limits.redis, such as redis: { url: env:REDIS_URL }")
	case p.Store != "redis" && p.Redis != nil:
		l.err("limits.redis", "redis", "has no effect while limits.store is memory; write store: redis, or remove it")
	case p.Redis != nil && (p.Redis.Prefix == "" || len(p.Redis.Prefix) > 64 || !isRouteName(p.Redis.Prefix)):
		l.err("limits.redis.prefix", "redis", "is made of letters, digits, '.', '_' and '-', 1 to 64 of them")
	}
}

// weight reports a route that counts as more requests than may come at once.
func (l *linter) weight(path string, r *Route) {
	names := []string{r.Class}
	if r.Class == "" {
		names = names[:0]
		for method := range r.claims() {
			name := "write"
			if method == "GET" || method == "HEAD" || method == "OPTIONS" {
				name = "read"
			}
			names = append(names, name)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	limits, said := &l.p.Limits, false
	check := func(what string, rate Rate, ok bool) {
		most := rate.Burst
		if most == 0 {
			most = rate.Limit
		}
		if ok && most > 0 && r.Weight > most && !said {
			said = true
			l.err(path+".weight", "weight", "a request that counts as %d is never let through, as %s admits %s at once", r.Weight, what, strconv.Itoa(most))
		}
	}
	for _, name := range names {
		if r.Limit != nil {
			check("the route's limit", *r.Limit, true)
		} else {
			rate, ok := limits.Classes[name]
			check("limits.classes."+name, rate, ok)
		}
		rate, ok := limits.PerPrincipal[name]
		check("limits.per_principal."+name, rate, ok)
		rate, ok = limits.PerAgent[name]
		check("limits.per_agent."+name, rate, ok)
		rate, ok = limits.PerAddress[name]
		check("limits.per_address."+name, rate, ok)
	}
}
