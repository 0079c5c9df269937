package authz

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/policy"
)

// pseudonyms is what the policy says of them, with its master keys.
type pseudonyms struct {
	masters [][]byte
	reveal  string // the scope that opens them, or ""
}

func pseudonymsOf(p *policy.Policy) (*pseudonyms, error) {
	conf := p.PII.Pseudonyms
	if conf == nil {
		return nil, nil
	}
	out := &pseudonyms{reveal: conf.Reveal}
	names := make(map[string]bool)
	for i, ref := range conf.Keys {
		master, err := p.Resolve(ref)
		if err != nil {
			return nil, fmt.Errorf("pii.pseudonyms.keys[%d]: %w", i, err)
		}
		key, err := pii.TenantKey(master, "")
		if err != nil {
			return nil, fmt.Errorf("pii.pseudonyms.keys[%d]: %w", i, err)
		}
		name := string(key[:pii.KeyNameSize])
		if names[name] {
			return nil, fmt.Errorf("pii.pseudonyms.keys[%d]: the key stands twice, or has the name of another by chance: make a new one", i)
		}
		names[name] = true
		out.masters = append(out.masters, master)
	}
	return out, nil
}

// Pseudonyms returns those of a tenant under the keys of a policy, for an operator.
func Pseudonyms(p *policy.Policy, tenant string) (*pii.Pseudonyms, error) {
	conf, err := pseudonymsOf(p)
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return nil, errors.New("the policy has no pii.pseudonyms")
	}
	keys := make([][]byte, len(conf.masters))
	for i, master := range conf.masters {
		if keys[i], err = pii.TenantKey(master, tenant); err != nil {
			return nil, err
		}
	}
	return pii.NewPseudonyms(keys...)
}

// keysOf returns the keys that the filter needs for a request, in the form of the
// metadata, and whether it may open pseudonyms in the response. To make them it gets
// the first alone.
func (c *Chain) keysOf(p *identity.Principal, plan *plan) (keys string, reveal bool, err error) {
	if c.pseudonyms == nil {
		return "", false, nil
	}
	reveal = plan.reads && c.pseudonyms.reveal != "" && p.Kind != identity.KindAnonymous && p.HasScope(c.pseudonyms.reveal)
	if !reveal && !plan.pseudonymizes {
		return "", false, nil
	}
	masters := c.pseudonyms.masters
	if !reveal {
		masters = masters[:1]
	}
	for i, master := range masters {
		key, err := pii.TenantKey(master, p.Tenant)
		if err != nil {
			return "", false, err
		}
		if i > 0 {
			keys += ","
		}
		keys += base64.RawURLEncoding.EncodeToString(key)
	}
	return keys, reveal, nil
}

// pseudonymizes reports whether a body of either direction gets pseudonyms, and reads
// whether responses are looked into, so that they can be opened.
func pseudonymizes(body *content.Policy, r *policy.Route) (makes, reads bool) {
	return body.Request.Pseudonymizes() || body.Response.Pseudonymizes(), body.Response.Inspects() && !r.Own
}
