package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/receipt"
	"github.com/memgate/memgate/memory-backend/rights"
)

// maxReason is the longest reason of a legal hold, in code points.
const maxReason = 200

// issuer is what receipts name as the one who states.
const issuer = "memory-backend"

// selection is what a request to erase, hold or export names.
type selection struct {
	rights.Selection
	what, of string // for the receipt
}

// selected reads which memories a request means: exactly one of memory_id, agent_id, user_id, filters and, where
// that is allowed, tenant, which repeats the name of the caller's own.
func (s *Server) selected(c *call, f *form, tenant bool) (sel selection, err error) {
	named := 0
	for _, name := range []string{"memory_id", "agent_id", "user_id"} {
		v, ok := f.text(name, rule{min: 1, max: memory.MaxName})
		if !ok {
			continue
		}
		named++
		sel.of = v
		switch name {
		case "memory_id":
			sel.what, sel.Filter = "memory", memory.Eq(memory.FieldID, v)
		case "agent_id":
			sel.what, sel.Agent, sel.Filter = "agent", v, memory.Eq(memory.FieldAgent, v)
		default:
			sel.what, sel.User, sel.Filter = "user", v, memory.Eq(memory.FieldUser, v)
		}
	}
	if f.has("filters") {
		named++
		members, ok := f.members["filters"].(map[string]any)
		if !ok || len(members) == 0 {
			f.fail("filters", "dict_type", "Input should be an object that is not empty")
		} else {
			sel.what, sel.Filter = "filter", parseFilter(members, f.at("filters"), f.issues)
		}
	}
	if v, ok := f.text("tenant", rule{min: 1}); ok && tenant {
		named++
		if sel.what, sel.Tenant = "tenant", true; v != c.id.Tenant {
			f.fail("tenant", "value_error", "Value error, must be the tenant that you are of")
		}
	}
	if err := f.err(); err != nil {
		return sel, err
	}
	if named != 1 {
		return sel, badRequest("Name exactly one of memory_id, agent_id, user_id, filters and tenant.")
	}
	if c.id.Agent != "" {
		if sel.Tenant || sel.Agent != "" && sel.Agent != c.id.Agent {
			return sel, agentMismatch()
		}
		// Only the session's agent is meant: what else is held of the user stays.
		sel.User, sel.Filter = "", memory.Both(c.scope(), sel.Filter)
	}
	return sel, nil
}

func (s *Server) erase(c *call) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	dry := f.boolean("dry_run")
	sel, err := s.selected(c, f, true)
	if err != nil {
		return nil, err
	}
	answer := func(e rights.Erased) map[string]any {
		return map[string]any{"dry_run": dry, "erased": sel.what, "matched": e.Matched, "memories": e.Erased, "kept_by_legal_hold": e.Held,
			"verified": e.Verified, "compacted": e.Compacted, "receipt_id": nil, "receipt": nil}
	}
	if dry {
		e, err := s.guard.Erase(c.Context(), c.id.Tenant, s.change(c), sel.Selection, true)
		if err != nil {
			return nil, err
		}
		return answer(e), nil
	}
	if err := s.Receipts.Ready(); err != nil { // before anything is erased that could not be stated then
		return nil, err
	}
	e, err := s.guard.Erase(c.Context(), c.id.Tenant, s.change(c), sel.Selection, false)
	if err != nil {
		return nil, err
	}
	r, signed, err := s.Receipts.Sign(receipt.Receipt{Issuer: issuer, At: s.now(), By: c.id.Subject, Tenant: c.id.Tenant, What: sel.what, Of: sel.of,
		Memories: e.Erased, Held: e.Held, Verified: e.Verified, Compacted: e.Compacted, Keys: e.Keys})
	if err != nil {
		return nil, err
	}
	a := answer(e)
	a["receipt_id"], a["receipt"] = r.ID, signed
	return a, nil
}

func (s *Server) getReceipt(c *call) (any, error) {
	r, signed, err := s.Receipts.Get(c.id.Tenant, c.PathValue("receipt_id"))
	if errors.Is(err, receipt.ErrNotFound) {
		return nil, notFound("There is no such receipt.")
	} else if err != nil {
		return nil, err
	}
	keys := r.Keys
	if keys == nil {
		keys = []string{}
	}
	return map[string]any{"receipt_id": r.ID, "receipt": signed, "at": stamp(r.At), "principal": r.By, "erased": r.What, "of": optional(r.Of),
		"memories": r.Memories, "kept_by_legal_hold": r.Held, "verified": r.Verified, "compacted": r.Compacted, "keys": keys}, nil
}

// receiptKeys shows the public keys that receipts are checked with. They are no secret.
func (s *Server) receiptKeys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(s.Receipts.JWKS()) // the client is gone if this fails
}

func (s *Server) hold(c *call) (any, error) { return s.setHold(c, true) }

func (s *Server) unhold(c *call) (any, error) { return s.setHold(c, false) }

// setHold puts memories under a legal hold, or takes it off.
func (s *Server) setHold(c *call, on bool) (any, error) {
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	reason := ""
	if on {
		reason, _ = f.text("reason", rule{required: true, min: 1, max: maxReason, check: notBlank("reason")})
	}
	sel, err := s.selected(c, f, false)
	if err != nil {
		return nil, err
	}
	n, err := s.guard.SetHold(c.Context(), c.id.Tenant, s.change(c), sel.Filter, reason)
	if errors.Is(err, rights.ErrTooLarge) {
		return nil, badRequest("These are more memories than one request can take; narrow the selection.")
	} else if err != nil {
		return nil, err
	}
	status := "held"
	if !on {
		status = "free"
	}
	return map[string]any{"changed": n, "status": status}, nil
}

// consentShape is what a user agreed to, as it is shown.
func consentShape(k *rights.Consent) map[string]any {
	type purpose struct {
		Granted   bool    `json:"granted"`
		Source    string  `json:"source"`
		Principal string  `json:"principal"`
		At        *string `json:"at"`
	}
	purposes := make(map[string]purpose, len(k.Purposes))
	for name, p := range k.Purposes {
		purposes[name] = purpose{p.Granted, p.Source, p.By, stamp(p.At)}
	}
	return map[string]any{"user_id": k.User, "purposes": purposes, "do_not_sell": k.NoSale, "limit_use": k.Limited, "updated_at": stamp(k.Updated)}
}

func (c *call) user() (string, error) {
	user := c.PathValue("user_id")
	if len(user) > memory.MaxName {
		return "", invalid([]issue{{"string_too_long", []any{"path", "user_id"}, "String should have at most 256 bytes"}})
	}
	if c.id.Agent != "" {
		return "", agentMismatch()
	}
	return user, nil
}

func (s *Server) getConsent(c *call) (any, error) {
	user, err := c.user()
	if err != nil {
		return nil, err
	}
	k, err := s.guard.Consent(c.Context(), c.id.Tenant, user)
	if err != nil {
		return nil, err
	}
	return consentShape(k), nil
}

func (s *Server) putConsent(c *call) (any, error) {
	user, err := c.user()
	if err != nil {
		return nil, err
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	source, _ := f.text("source", rule{required: true, min: 1, max: maxReason, check: notBlank("source")})
	said := map[string]bool{}
	if f.has("purposes") {
		members, ok := f.members["purposes"].(map[string]any)
		if !ok || len(members) > rights.MaxPurposes {
			f.fail("purposes", "dict_type", "Input should be an object of at most "+strconv.Itoa(rights.MaxPurposes)+" members")
		}
		for name, v := range members {
			granted, ok := v.(bool)
			if kind, _ := purposeName(name); kind != "" || !ok {
				f.fail("purposes", "value_error", "Value error, each purpose is a name of at most 64 letters, digits, '.', '_' and '-', and true or false")
				break
			}
			said[name] = granted
		}
	}
	noSale, limited := f.boolean("do_not_sell"), f.boolean("limit_use")
	if err := f.err(); err != nil {
		return nil, err
	}
	now := s.now()
	k, err := s.guard.EditConsent(c.Context(), c.id.Tenant, user, func(k *rights.Consent) error {
		for name, granted := range said {
			k.Purposes[name] = rights.Purpose{Granted: granted, Source: source, By: c.id.Subject, At: now}
		}
		if f.has("do_not_sell") {
			k.NoSale = noSale
		}
		if f.has("limit_use") {
			k.Limited = limited
		}
		if k.Updated = now; len(k.Purposes) > rights.MaxPurposes {
			return badRequest("A user can have at most " + strconv.Itoa(rights.MaxPurposes) + " purposes.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return consentShape(k), nil
}

func policyShape(p *rights.Policy) map[string]any {
	return map[string]any{"keep_days": p.KeepDays, "expired_days": p.ExpiredDays, "required_consent": list(p.Required), "users_refusing": len(p.Refusals)}
}

func (s *Server) getPolicy(c *call) (any, error) {
	p, err := s.guard.Policy(c.Context(), c.id.Tenant)
	if err != nil {
		return nil, err
	}
	return policyShape(p), nil
}

func (s *Server) putPolicy(c *call) (any, error) {
	if c.id.Agent != "" {
		return nil, agentMismatch()
	}
	f, err := readBody(c.w, c.Request, s.MaxBody, false)
	if err != nil {
		return nil, err
	}
	keep, hasKeep := f.integer("keep_days", 0)
	expired, hasExpired := f.integer("expired_days", 0)
	required, hasRequired := f.texts("required_consent", rights.MaxPurposes, rule{min: 1, max: rights.MaxPurpose, check: purposeName})
	if keep > rights.MaxDays || expired > rights.MaxDays {
		f.fail("keep_days", "less_than_equal", "Input should be at most "+strconv.Itoa(rights.MaxDays)+" days")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	var now *rights.Policy
	if err := s.guard.EditPolicy(c.Context(), c.id.Tenant, func(p *rights.Policy) {
		if hasKeep {
			p.KeepDays = keep
		}
		if hasExpired {
			p.ExpiredDays = expired
		}
		if hasRequired {
			p.Required = required
		}
		now = p
	}); err != nil {
		return nil, err
	}
	return policyShape(now), nil
}
