package server

import (
	"time"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/token"
)

// Tokens makes the verifier of the policy's issuers. It is nil without any.
func Tokens(p *policy.Policy, now func() time.Time) (*token.Verifier, error) {
	if len(p.Identity.Issuers) == 0 {
		return nil, nil
	}
	config := token.Config{Now: now}
	for i := range p.Identity.Issuers {
		issuer := &p.Identity.Issuers[i]
		file := issuer.JWKSFile
		if file != "" {
			file = p.Path(file)
		}
		config.Issuers = append(config.Issuers, token.IssuerConfig{
			Issuer: issuer.Issuer, JWKSURL: issuer.JWKSURI, JWKSFile: file,
			Audiences: issuer.Audiences, Algorithms: issuer.Algorithms,
			Leeway: time.Duration(issuer.Leeway), Refresh: time.Duration(issuer.Refresh), RequireTyp: issuer.Typ,
			RoleClaim: issuer.RoleClaim(), Roles: p.Access.Roles,
			TenantClaim: issuer.Tenant.Claim, ScopeClaim: issuer.Scopes.Claim, SubjectClaim: issuer.Subject.Claim,
		})
	}
	return token.New(config)
}
