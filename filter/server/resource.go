package server

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/memgate/memgate/filter/policy"
)

// resourceMetadata serves the metadata of the protected resource (RFC 9728,
// section 3), to which challenges point.
func (s *Server) resourceMetadata(w http.ResponseWriter, r *http.Request) {
	p := s.current.Load().policy
	resource := p.Identity.Resource
	if resource == nil || r.URL.EscapedPath() != resource.MetadataPath() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(metadataOf(p))
}

// metadata is the document of RFC 9728, section 2.
type metadata struct {
	Resource      string   `json:"resource"`
	Servers       []string `json:"authorization_servers"`
	Scopes        []string `json:"scopes_supported,omitempty"`
	Methods       []string `json:"bearer_methods_supported"`
	Documentation string   `json:"resource_documentation,omitempty"`
	Algorithms    []string `json:"dpop_signing_alg_values_supported,omitempty"`
	Bound         bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	Certificates  bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

func metadataOf(p *policy.Policy) metadata {
	m := metadata{
		Resource:      p.Identity.Resource.URL,
		Methods:       []string{"header"},
		Documentation: p.Identity.Resource.Documentation,
		Algorithms:    p.Identity.DPoP.Algorithms,
	}
	m.Bound, m.Certificates = len(p.Identity.Issuers) > 0, len(p.Identity.Issuers) > 0
	for i := range p.Identity.Issuers {
		m.Bound = m.Bound && p.Identity.Issuers[i].SenderConstrained == "dpop"
		m.Certificates = m.Certificates && p.Identity.Issuers[i].SenderConstrained == "mtls"
		m.Servers = append(m.Servers, p.Identity.Issuers[i].Issuer)
	}
	for i := range p.Routes {
		m.Scopes = append(m.Scopes, p.Routes[i].Require.Scopes...)
	}
	slices.Sort(m.Scopes)
	m.Scopes = slices.Compact(m.Scopes)
	return m
}
