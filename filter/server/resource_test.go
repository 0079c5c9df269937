package server

import (
	"slices"
	"testing"

	"github.com/memgate/memgate/filter/policy"
)

// The metadata promises a binding of tokens only where every issuer has it.
func TestMetadataOfBoundTokens(t *testing.T) {
	for name, c := range map[string]struct {
		issuers             []string
		bound, certificates bool
	}{
		"none":   {[]string{"", ""}, false, false},
		"some":   {[]string{"dpop", ""}, false, false},
		"dpop":   {[]string{"dpop", "dpop"}, true, false},
		"mtls":   {[]string{"mtls"}, false, true},
		"either": {[]string{"mtls", "dpop"}, false, false},
	} {
		p := &policy.Policy{}
		p.Identity.Resource = &policy.Resource{URL: "https://edge.example.com"}
		p.Identity.DPoP.Algorithms = []string{"ES256"}
		for _, how := range c.issuers {
			p.Identity.Issuers = append(p.Identity.Issuers, policy.Issuer{SenderConstrained: how})
		}
		m := metadataOf(p)
		if m.Bound != c.bound || m.Certificates != c.certificates || !slices.Equal(m.Algorithms, []string{"ES256"}) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
