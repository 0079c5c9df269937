package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/mesh"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/revocation"
)

func revokeSubjectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "subject SUBJECT|SPIFFE-ID",
		Short: "Revoke all tokens or API keys of a subject that were issued until now, or a peer of the mesh",
		Long: "Revoke all tokens of a subject that its issuer issued until now, or another time, or with --tenant all\n" +
			"API keys of the tenant that stand for it and were made until then; with --issuer and --tenant both. Those\n" +
			"that are issued later are accepted. A SPIFFE ID without --issuer and --tenant is a peer of the mesh, which\n" +
			"is revoked until --until, or for good. With them end the sessions that were issued to them.",
		Example: "  memgate revoke subject jane --issuer https://idp.example.com\n" +
			"  memgate revoke subject jane --tenant acme\n" +
			"  memgate revoke subject spiffe://cluster.local/ns/shop/sa/cart",
		Args: usage(cobra.ExactArgs(1)),
	}
	config, issuer := configFlag(cmd), issuerFlag(cmd)
	tenant := cmd.Flags().String("tenant", "", "tenant of the API keys that stand for it")
	before := cmd.Flags().String("before", "", "time until when they were issued, such as 2026-05-01T12:00:00Z; now when empty")
	end := cmd.Flags().String("until", "", "of a peer, until when it is revoked, such as 2026-05-01T12:00:00Z; for good when empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := timeFlag(*before, "--before")
		if err != nil {
			return err
		}
		if at.IsZero() {
			at = time.Now()
		}
		last, err := timeFlag(*end, "--until")
		if err != nil {
			return err
		}
		s := subject{name: args[0], issuer: *issuer, tenant: *tenant, before: at.UTC().Truncate(time.Millisecond), until: last}
		switch {
		case s.peer() && *before != "":
			return usageError{errors.New("a peer has no --before: it is revoked whatever its certificate says")}
		case s.peer() && !mesh.ValidID(s.name):
			return usageError{errors.New("that is not a SPIFFE ID, such as spiffe://cluster.local/ns/shop/sa/cart")}
		case !s.peer() && *end != "":
			return usageError{errors.New("--until is for a peer, without --issuer and --tenant")}
		}
		return revoke(cmd, *config, s.entries)
	}
	return cmd
}

// timeFlag reads the value of a flag that holds a time; the zero time for none.
func timeFlag(value, name string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, usageError{errors.New(name + " wants a time such as 2026-05-01T12:00:00Z")}
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

// subject is whom to revoke.
type subject struct {
	name, issuer, tenant string
	before, until        time.Time
}

// peer says whether it is a workload of a mesh. Tokens may have SPIFFE IDs for subjects,
// too, and are named with their issuer.
func (s *subject) peer() bool {
	return s.issuer == "" && s.tenant == "" && strings.HasPrefix(s.name, "spiffe://")
}

func (s *subject) entries(p *policy.Policy) (all []revocation.Entry, err error) {
	if s.peer() {
		if p.Identity.Mesh == nil {
			return nil, errors.New("the policy has no identity.mesh, so no peer is accepted anyway; --issuer or --tenant say whose subject it is")
		}
		return []revocation.Entry{{Kind: revocation.KindPeer, ID: s.name, Until: s.until}}, nil
	}
	if s.tenant != "" {
		// Keys need not expire.
		all = append(all, revocation.Entry{Kind: revocation.KindKeySubject, Tenant: s.tenant, ID: s.name, Before: s.before})
	}
	if s.tenant == "" || s.issuer != "" {
		name, err := issuerOf(p, s.issuer)
		if err != nil {
			return nil, err
		}
		end := s.before.Add(time.Duration(p.State.MaxTokenLife) + expiryLeeway + sessionLife(p))
		all = append(all, revocation.Entry{Kind: revocation.KindSubject, Issuer: name, ID: s.name, Before: s.before, Until: end})
	}
	return all, nil
}
