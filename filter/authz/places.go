package authz

import (
	"strconv"
	"strings"
)

// leaseOf is what the access log gets to give a place back: its key and its id.
// The place's own name is in it, and not the request's id: not every mesh makes
// that itself.
func leaseOf(key, id string) string { return key + " " + id }

// placeID is the name of the place that a request of the class will take, or ""
// without a limit.
func (c *Chain) placeID(in *class) string {
	if in.most == 0 {
		return ""
	}
	return c.deps.Name + "." + strconv.FormatUint(c.places.Add(1), 36)
}

// leave gives back the place of a request that is refused after all.
func (c *Chain) leave(d *Decision) {
	if d.lease != "" {
		c.release(d.tenant, d.lease)
		d.lease = ""
	}
}

func (c *Chain) release(tenant, lease string) {
	if key, id, ok := strings.Cut(lease, " "); ok && tenant != "" {
		c.deps.Limiter.Leave(tenant, key, id)
	}
}

// Release gives back the place of a request that has ended, by what its decision
// told Envoy. One that is not held any more is no error.
func (s *Service) Release(tenant, lease string) {
	if c := s.chain.Load(); c != nil && lease != "" {
		c.release(tenant, lease)
	}
}
