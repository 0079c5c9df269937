package session

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/txntoken"
)

// Verify returns the claims of a request's Txn-Token, as (*txntoken.Verifier).VerifyHeader
// does for the values of its header. It is all that Handler believes.
type Verify func(*http.Request) (*txntoken.Claims, error)

// api serves the sessions API.
type api struct {
	store  *Store
	ttl    time.Duration
	verify Verify
}

// Handler serves, for those whom verify knows:
//
//   - POST /api/v2/agents/{agent_id}/activate issues a session that lives for ttl, or
//     renews the one that the caller presents (200, activation). A body is not read. That
//     the agent exists is not checked: the service behind the edge knows its agents.
//   - POST /api/v2/agents/{agent_id}/deactivate ends the session that the caller presents;
//     a caller that presents none ends all its sessions for the agent, and no one else's.
//     It answers with a summary of the one that began last (200), or 404 if there was none.
//   - GET /api/v2/status describes the caller, and the session that it presents or else
//     its latest one (200). Other than with MEMANTO, no session is no error.
//
// Whatever is refused is answered as a problem (RFC 9457). No answer may be cached, as
// they hold tokens.
func Handler(store *Store, ttl time.Duration, verify Verify) http.Handler {
	a := &api{store: store, ttl: ttl, verify: verify}
	mux := http.NewServeMux()
	mux.Handle("/api/v2/agents/{agent_id}/activate", a.route(http.MethodPost, a.activate))
	mux.Handle("/api/v2/agents/{agent_id}/deactivate", a.route(http.MethodPost, a.deactivate))
	mux.Handle("/api/v2/status", a.route(http.MethodGet, a.status))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, problem.NotFound, "") })
	return mux
}

// route checks the method, then the caller, then the agent's id.
func (a *api) route(method string, next func(http.ResponseWriter, *http.Request, *txntoken.Claims)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			refuse(w, problem.MethodNotAllowed, "")
			return
		}
		c, err := a.verify(r)
		switch {
		case err != nil && txntoken.IsUnavailable(err):
			refuse(w, problem.Unavailable, "")
			return
		case err != nil || c == nil || c.Kind == string(identity.KindAnonymous):
			refuse(w, problem.Unauthenticated, "")
			return
		}
		if agent := r.PathValue("agent_id"); agent != "" {
			if !ValidAgent(agent) {
				refuse(w, problem.NotFound, c.ID)
				return
			}
			if c.Agent != "" && c.Agent != agent {
				refuse(w, problem.AgentMismatch, c.ID)
				return
			}
		}
		next(w, r, c)
	})
}

// The answers have the members of MEMANTO's Session, SessionSummary and SessionInfo.
// pattern, metadata and summary_memory_id are of no use here and always null.

type activation struct {
	SessionID    string    `json:"session_id"`
	SessionToken string    `json:"session_token"`
	AgentID      string    `json:"agent_id"`
	Namespace    string    `json:"namespace"`
	StartedAt    time.Time `json:"started_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	Pattern      *string   `json:"pattern"`
	Status       string    `json:"status"`
	Metadata     *struct{} `json:"metadata"`
}

type summary struct {
	SessionID       string    `json:"session_id"`
	AgentID         string    `json:"agent_id"`
	StartedAt       time.Time `json:"started_at"`
	EndedAt         time.Time `json:"ended_at"`
	DurationHours   float64   `json:"duration_hours"`
	MemoriesCreated int       `json:"memories_created"`
	SummaryMemoryID *string   `json:"summary_memory_id"`
}

type info struct {
	SessionID            *string    `json:"session_id"`
	AgentID              *string    `json:"agent_id"`
	Namespace            *string    `json:"namespace"`
	StartedAt            *time.Time `json:"started_at"`
	ExpiresAt            *time.Time `json:"expires_at"`
	Status               string     `json:"status"`
	TimeRemainingSeconds int64      `json:"time_remaining_seconds"`
	Pattern              *string    `json:"pattern"`
	// What follows is memgate's own.
	Tenant  string   `json:"tenant"`
	Subject string   `json:"subject"`
	Kind    string   `json:"kind"`
	Scopes  []string `json:"scopes"`
}

const (
	statusActive   = "active"
	statusInactive = "inactive"
)

// namespace is how MEMANTO names the place of an agent's memories.
func namespace(agent string) string { return "memanto_agent_" + agent }

func (a *api) activate(w http.ResponseWriter, r *http.Request, c *txntoken.Claims) {
	p := &identity.Principal{
		Kind: identity.Kind(c.Kind), Subject: c.Subject, Tenant: c.Tenant, Scopes: c.Scopes,
		ID: c.Principal, Agent: c.Agent, Bound: identity.ParseBinding(c.Bound),
		Issuer: c.PrincipalIssuer, Issued: c.PrincipalIssued,
	}
	token, s, err := a.store.Activate(r.Context(), p, r.PathValue("agent_id"), a.ttl)
	if err != nil {
		refuse(w, problemOf(err), c.ID)
		return
	}
	answer(w, http.StatusOK, activation{
		SessionID: s.ID, SessionToken: token, AgentID: s.Agent, Namespace: namespace(s.Agent),
		StartedAt: s.Started, ExpiresAt: s.Expires, Status: statusActive,
	})
}

func (a *api) deactivate(w http.ResponseWriter, r *http.Request, c *txntoken.Claims) {
	agent := r.PathValue("agent_id")
	ended, err := a.end(r.Context(), c, agent)
	if err != nil {
		refuse(w, problemOf(err), c.ID)
		return
	}
	if len(ended) == 0 {
		refuse(w, problem.NotFound, c.ID)
		return
	}
	last := ended[0]
	for _, s := range ended[1:] {
		if s.Started.After(last.Started) {
			last = s
		}
	}
	now := a.store.now().UTC().Truncate(time.Microsecond)
	answer(w, http.StatusOK, summary{
		SessionID: last.ID, AgentID: last.Agent, StartedAt: last.Started, EndedAt: now,
		DurationHours: math.Round(now.Sub(last.Started).Hours()*100) / 100,
	})
}

// end ends the session that the caller presents, or all that it has for agent.
func (a *api) end(ctx context.Context, c *txntoken.Claims, agent string) ([]Session, error) {
	if c.Kind != string(identity.KindSession) {
		return a.store.RevokeAgent(ctx, c.Tenant, c.Subject, agent)
	}
	s, ok, err := a.own(ctx, c)
	if err != nil || !ok || s.Agent != agent {
		return nil, err
	}
	if ok, err = a.store.Revoke(ctx, s.ID); err != nil || !ok {
		return nil, err
	}
	return []Session{s}, nil
}

func (a *api) status(w http.ResponseWriter, r *http.Request, c *txntoken.Claims) {
	out := info{Status: statusInactive, Tenant: c.Tenant, Subject: c.Subject, Kind: c.Kind, Scopes: c.Scopes}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	s, ok, err := a.own(r.Context(), c)
	if c.Kind != string(identity.KindSession) {
		s, ok, err = a.store.Latest(r.Context(), c.Tenant, c.Subject)
	}
	if err != nil {
		refuse(w, problemOf(err), c.ID)
		return
	}
	if ok {
		ns := namespace(s.Agent)
		out.SessionID, out.AgentID, out.Namespace = &s.ID, &s.Agent, &ns
		out.StartedAt, out.ExpiresAt, out.Status = &s.Started, &s.Expires, statusActive
		out.TimeRemainingSeconds = int64(s.Expires.Sub(a.store.now()) / time.Second)
	}
	answer(w, http.StatusOK, out)
}

// own returns the session that the caller presents.
func (a *api) own(ctx context.Context, c *txntoken.Claims) (Session, bool, error) {
	if c.Kind != string(identity.KindSession) {
		return Session{}, false, nil
	}
	s, ok, err := a.store.Get(ctx, c.Principal)
	if err != nil || !ok || s.Tenant != c.Tenant || s.Subject != c.Subject {
		return Session{}, false, err
	}
	return s, true, nil
}

func problemOf(err error) problem.Problem {
	switch identity.ClassOf(err) {
	case identity.ClassUnauthenticated:
		return problem.InvalidCredentials
	case identity.ClassForbidden:
		if identity.ReasonOf(err) == identity.ReasonAgentMismatch {
			return problem.AgentMismatch
		}
		return problem.Forbidden
	}
	return problem.Unavailable
}

func answer(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		refuse(w, problem.Unavailable, "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func refuse(w http.ResponseWriter, p problem.Problem, requestID string) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 15.5.2
	}
	w.Header().Set("Content-Type", problem.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.AppendJSON(nil, requestID))
}
