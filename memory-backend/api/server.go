// Package api serves the memory service over HTTP: the routes of MEMANTO v2, and a façade in the shape of
// mem0's hosted API.
//
// It knows who calls from the verified Txn-Token and from nothing else. It holds no authentication of
// its own beyond that, no CORS, no rate limits and no redaction: those are the edge's. It bounds
// everything that it reads, and logs no content.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/receipt"
	"github.com/memgate/memgate/memory-backend/rights"
)

// Identity is what a valid Txn-Token says about the caller.
type Identity struct {
	Tenant    string // whose memories; required
	Subject   string // who; required
	Agent     string // the agent that a session is bound to, or ""
	Session   string // the session's id, or ""
	Principal string // the credential's id, safe to log
	Scopes    []string
	Trust     string // memory.TrustTrusted or TrustUnconfirmed; "" where the edge did not decide
	Request   string // the id of the transaction, safe to log; for the log the request's own id takes its place
}

// ErrUnavailable is wrapped by what Config.Verify returns when it cannot tell at the moment whether a
// token is valid.
var ErrUnavailable = errors.New("api: tokens cannot be verified now")

// Config is what a Server needs. Store, Verify, Receipts, Now and Random are required.
type Config struct {
	Store    memory.Store
	Receipts *receipt.Book                                                // signs and keeps what was erased
	Verify   func(ctx context.Context, values []string) (Identity, error) // all values of the header Txn-Token
	Ready    func(ctx context.Context) error                              // beside the store's; may be nil
	Now      func() time.Time
	Random   io.Reader            // for ids; must be safe for concurrent use
	Log      *slog.Logger         // nil: no log
	Metrics  *prometheus.Registry // nil: no metrics, and no /metrics
	Tracer   trace.Tracer         // for requests that the edge traces; nil: no spans

	// Distinct refuses memories whose content is remembered already for the same agent, user, app and run.
	Distinct bool

	// Provisional is how long a fact or preference of an unconfirmed writer is valid when nobody else confirms it.
	// 0: always. ProvisionalUnstated takes writers for unconfirmed of whom the edge does not say how they are trusted.
	Provisional         time.Duration
	ProvisionalUnstated bool
	// Access records who read each memory.
	Access bool

	MaxBody int64         // bytes of a request's body; 2 MiB when 0
	Timeout time.Duration // for one request; 15 s when 0
}

// Server is the http.Handler of the service.
type Server struct {
	Config  // its Store is the Guard
	guard   *rights.Guard
	raw     memory.Store // what reviewers and those who export and erase see
	mux     *http.ServeMux
	mcp     http.Handler
	metrics *metrics
}

// call is one authenticated request.
type call struct {
	*http.Request
	w  http.ResponseWriter
	id Identity
}

// handler serves an authenticated request: it returns what to answer with status 200, or an error.
type handler func(s *Server, c *call) (any, error)

// route is one operation. Routes with a nil handler are open and served by serve.
type route struct {
	method, path string
	handle       handler
	open         func(s *Server, w http.ResponseWriter, r *http.Request)
	status       int  // of success; 200 when 0
	own          bool // of another protocol, or refused always: not in openapi.json
}

// answered is the answer of a handler that has written it.
type answered struct{}

// routes are all operations of the service; openapi.json describes the same but those that are marked.
var routes = []route{
	{method: "GET", path: "/healthz", open: (*Server).health},
	{method: "GET", path: "/readyz", open: (*Server).ready},
	{method: "GET", path: "/metrics", open: (*Server).serveMetrics},
	{method: "GET", path: "/openapi.json", open: (*Server).openAPI},

	{method: "POST", path: "/api/v2/agents", handle: (*Server).createAgent, status: http.StatusCreated},
	{method: "GET", path: "/api/v2/agents", handle: (*Server).listAgents},
	{method: "GET", path: "/api/v2/agents/{agent_id}", handle: (*Server).getAgent},
	{method: "DELETE", path: "/api/v2/agents/{agent_id}", handle: (*Server).deleteAgent},
	{method: "POST", path: "/api/v2/agents/{agent_id}/remember", handle: (*Server).remember},
	{method: "POST", path: "/api/v2/agents/{agent_id}/batch-remember", handle: (*Server).batchRemember},
	{method: "POST", path: "/api/v2/agents/{agent_id}/recall", handle: (*Server).recall},
	{method: "POST", path: "/api/v2/agents/{agent_id}/recall/recent", handle: (*Server).recallRecent},
	{method: "POST", path: "/api/v2/agents/{agent_id}/recall/all", handle: (*Server).recallAll},
	{method: "POST", path: "/api/v2/agents/{agent_id}/recall/as-of", handle: (*Server).recallAsOf},
	{method: "POST", path: "/api/v2/agents/{agent_id}/recall/changed-since", handle: (*Server).recallChangedSince},
	{method: "GET", path: "/api/v2/agents/{agent_id}/memories/{memory_id}", handle: (*Server).getMemory},
	{method: "PATCH", path: "/api/v2/agents/{agent_id}/memories/{memory_id}", handle: (*Server).editMemory},
	{method: "DELETE", path: "/api/v2/agents/{agent_id}/memories/{memory_id}", handle: (*Server).deleteMemory},

	{method: "POST", path: "/api/v2/agents/{agent_id}/memories/{memory_id}/expire", handle: (*Server).expireMemory},
	{method: "POST", path: "/api/v2/agents/{agent_id}/memories/{memory_id}/restore", handle: (*Server).restoreMemory},
	{method: "POST", path: "/api/v2/agents/{agent_id}/answer", handle: (*Server).needsModel, own: true},
	{method: "POST", path: "/api/v2/agents/{agent_id}/remember/extract", handle: (*Server).needsModel, own: true},
	{method: "POST", path: "/api/v2/agents/{agent_id}/daily-summary", handle: (*Server).needsModel, own: true},
	{method: "POST", path: "/api/v2/agents/{agent_id}/conflicts/generate", handle: (*Server).needsModel, own: true},
	{method: "GET", path: "/api/v2/agents/{agent_id}/conflicts", handle: (*Server).needsModel, own: true},
	{method: "POST", path: "/api/v2/agents/{agent_id}/conflicts/resolve", handle: (*Server).needsModel, own: true},
	{method: "POST", path: "/api/v2/agents/{agent_id}/upload-file", handle: (*Server).needsModel, own: true},
	{method: "GET", path: "/api/v2/agents/{agent_id}/policy", handle: (*Server).getExpiry},
	{method: "PUT", path: "/api/v2/agents/{agent_id}/policy", handle: (*Server).putExpiry},
	{method: "GET", path: "/api/v2/agents/{agent_id}/policy/presets", handle: (*Server).expiryPresets},
	{method: "GET", path: "/api/v2/agents/{agent_id}/policy/presets/{name}", handle: (*Server).expiryPreset},
	{method: "POST", path: "/api/v2/agents/{agent_id}/policy/preset", handle: (*Server).putExpiryPreset},
	{method: "POST", path: "/api/v2/agents/{agent_id}/policy/apply", handle: (*Server).applyExpiry},
	{method: "POST", path: "/api/v2/agents/{agent_id}/policy/purge", handle: (*Server).purgeExpired},

	{method: "POST", path: mcpPath, handle: (*Server).serveMCP, own: true},
	{method: "GET", path: "/api/v2/agents/{agent_id}/memories/{memory_id}/history", handle: (*Server).history},
	{method: "GET", path: "/api/v2/agents/{agent_id}/memories/{memory_id}/access", handle: (*Server).accesses},
	{method: "POST", path: "/api/v2/agents/{agent_id}/memories/{memory_id}/confirm", handle: (*Server).confirmMemory},

	{method: "GET", path: "/api/v2/quarantine", handle: (*Server).listQuarantine},
	{method: "POST", path: "/api/v2/quarantine/{memory_id}/release", handle: (*Server).release},
	{method: "POST", path: "/api/v2/quarantine/{memory_id}/reject", handle: (*Server).reject},
	{method: "POST", path: "/api/v2/erase", handle: (*Server).erase},
	{method: "GET", path: "/api/v2/export", handle: (*Server).export},
	{method: "POST", path: "/api/v2/import", handle: (*Server).importLines},
	{method: "GET", path: "/api/v2/receipts/{receipt_id}", handle: (*Server).getReceipt},
	{method: "GET", path: "/api/v2/receipt-keys", open: (*Server).receiptKeys},
	{method: "POST", path: "/api/v2/hold", handle: (*Server).hold},
	{method: "POST", path: "/api/v2/unhold", handle: (*Server).unhold},
	{method: "GET", path: "/api/v2/users/{user_id}/consent", handle: (*Server).getConsent},
	{method: "PUT", path: "/api/v2/users/{user_id}/consent", handle: (*Server).putConsent},
	{method: "GET", path: "/api/v2/data-policy", handle: (*Server).getPolicy},
	{method: "PUT", path: "/api/v2/data-policy", handle: (*Server).putPolicy},

	{method: "GET", path: "/v1/ping/", handle: (*Server).mem0Ping},
	{method: "POST", path: "/v3/memories/add/", handle: (*Server).mem0Add},
	{method: "POST", path: "/v3/memories/", handle: (*Server).mem0GetAll},
	{method: "POST", path: "/v3/memories/search/", handle: (*Server).mem0Search},
	{method: "GET", path: "/v1/memories/{memory_id}/", handle: (*Server).mem0Get},
	{method: "PUT", path: "/v1/memories/{memory_id}/", handle: (*Server).mem0Update},
	{method: "DELETE", path: "/v1/memories/{memory_id}/", handle: (*Server).mem0Delete},
	{method: "DELETE", path: "/v1/memories/", handle: (*Server).mem0DeleteAll},
	{method: "GET", path: "/v1/memories/{memory_id}/history/", handle: (*Server).mem0History},
	{method: "PUT", path: "/v1/batch/", handle: (*Server).mem0BatchUpdate},
	{method: "DELETE", path: "/v1/batch/", handle: (*Server).mem0BatchDelete},
	{method: "POST", path: "/v1/summary/", handle: (*Server).needsModel, own: true},
	{method: "POST", path: "/v1/exports/", handle: (*Server).needsModel, own: true},
	{method: "GET", path: "/v2/entities/{entity_type}/{entity_name}/profile/", handle: (*Server).needsModel, own: true},
	{method: "GET", path: "/v1/entities/", handle: (*Server).mem0Entities},
	{method: "DELETE", path: "/v2/entities/{entity_type}/{entity_name}/", handle: (*Server).mem0DeleteEntity},

	{method: "POST", path: "/memories", handle: (*Server).mem0Add},
	{method: "GET", path: "/memories", handle: (*Server).mem0SelfList},
	{method: "DELETE", path: "/memories", handle: (*Server).mem0DeleteAll},
	{method: "GET", path: "/memories/{memory_id}", handle: (*Server).mem0Get},
	{method: "PUT", path: "/memories/{memory_id}", handle: (*Server).mem0SelfUpdate},
	{method: "DELETE", path: "/memories/{memory_id}", handle: (*Server).mem0Delete},
	{method: "GET", path: "/memories/{memory_id}/history", handle: (*Server).mem0History},
	{method: "POST", path: "/search", handle: (*Server).mem0Search},
	{method: "GET", path: "/entities", handle: (*Server).mem0SelfEntities},
	{method: "DELETE", path: "/entities/{entity_type}/{entity_name}", handle: (*Server).mem0DeleteEntity},
}

// New returns a Server.
func New(c Config) (*Server, error) {
	if c.Store == nil || c.Verify == nil || c.Receipts == nil || c.Now == nil || c.Random == nil {
		return nil, errors.New("api: Store, Verify, Receipts, Now and Random are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 2 << 20
	}
	if c.Timeout <= 0 {
		c.Timeout = 15 * time.Second
	}
	s := &Server{raw: c.Store, mux: http.NewServeMux(), metrics: newMetrics(c.Metrics)}
	s.guard = &rights.Guard{Store: c.Store, Now: c.Now, Access: c.Access}
	c.Store = s.guard
	s.Config = c
	s.mcp = s.newMCP()
	for _, r := range routes {
		pattern := r.method + " " + r.path
		if r.path[len(r.path)-1] == '/' {
			pattern += "{$}"
		}
		if r.open != nil {
			s.mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) { r.open(s, w, q) })
			continue
		}
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) { s.serve(w, q, r) })
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.Now()
	rec := &recorder{ResponseWriter: w}
	h, pattern := s.mux.Handler(r)
	ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
	defer cancel()
	facts := new(facts)
	ctx, span := s.span(ctx, r, pattern)
	r = r.WithContext(context.WithValue(ctx, factsKey{}, facts))
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.Log.Error("panic", "request_id", facts.id.Request, "route", pattern, "stack", string(debug.Stack()))
			if rec.status == 0 {
				writeProblem(rec, s.internal(facts.id))
			}
		}
		endSpan(span, rec.status)
		s.finish(rec, r, pattern, facts, s.Now().Sub(start))
	}()
	if pattern == "" {
		s.unrouted(rec, r, h)
		return
	}
	s.mux.ServeHTTP(rec, r) // sets the path's values, which the handler found above lacks
}

// unrouted answers for paths and methods that do not exist.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request, standard http.Handler) {
	probe := &recorder{ResponseWriter: discard{http.Header{}}}
	standard.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.Header().Get("Allow"))
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed",
			"The path exists, the method does not."))
		return
	}
	writeProblem(w, notFound("There is no such path."))
}

// serve authenticates and answers a request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt route) {
	id, err := s.Verify(r.Context(), r.Header.Values("Txn-Token"))
	facts, _ := r.Context().Value(factsKey{}).(*facts)
	if err == nil && (id.Tenant == "" || id.Subject == "") {
		err = errors.New("api: the token names no tenant or no subject")
	}
	if err != nil {
		facts.err = err
		if errors.Is(err, ErrUnavailable) {
			writeProblem(w, newProblem(http.StatusServiceUnavailable, "keys-unavailable", "Temporarily unavailable",
				"The caller's identity cannot be verified at the moment."))
			return
		}
		writeProblem(w, unauthenticated("A valid Txn-Token of the edge is required."))
		return
	}
	id.Request = requestID(r, id.Request)
	facts.id = id
	r = r.WithContext(rights.By(r.Context(), id.Subject))
	answer, err := s.answer(rt, &call{Request: r, w: w, id: id})
	var replayed *memory.ReplayedError
	if errors.As(err, &replayed) {
		if err = s.answerAgain(w, replayed.Answer); err == nil {
			return
		}
	}
	if err != nil {
		p := s.problem(err, id)
		p.ID = id.Request
		facts.err = p.cause
		writeProblem(w, p)
		return
	}
	if answer == (answered{}) {
		return
	}
	status := rt.status
	if status == 0 {
		status = http.StatusOK
	}
	writeJSON(w, status, answer)
}

// answer handles a request, for the purpose that it names.
func (s *Server) answer(rt route, c *call) (any, error) {
	purpose, err := purposeOf(c.Request)
	if err != nil {
		return nil, err
	}
	c.Request = c.WithContext(context.WithValue(rights.For(c.Context(), purpose), markKey{}, markOf(c.Request)))
	return rt.handle(s, c)
}

// requestID is the id that the edge gave a request. A Txn-Token may serve many
// requests, so it does not name one. Nothing is decided by the id.
func requestID(r *http.Request, transaction string) string {
	values := r.Header.Values("X-Request-Id")
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxRequestID {
		return transaction
	}
	for i := 0; i < len(values[0]); i++ {
		if c := values[0][i]; c <= ' ' || c > '~' {
			return transaction
		}
	}
	return values[0]
}

// maxRequestID is the longest request id that is logged, in bytes.
const maxRequestID = 128

// problem turns the error of a handler into an answer.
func (s *Server) problem(err error, id Identity) *problem {
	var p *problem
	var twice *memory.DuplicateError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &twice):
		return newProblem(http.StatusConflict, "duplicate-memory", "Remembered already",
			"Memory "+strconv.Itoa(twice.Index+1)+" of the request says the same as memory "+twice.ID+"; nothing was stored.")
	case errors.Is(err, memory.ErrNotFound):
		return notFound("There is no such memory or agent.")
	case errors.Is(err, memory.ErrVersion):
		return newProblem(http.StatusPreconditionFailed, "changed-meanwhile", "Changed meanwhile",
			"The memory is not at the version that If-Match names; read it again.")
	case errors.Is(err, rights.ErrConsent):
		return newProblem(http.StatusForbidden, "consent-required", "Consent required",
			"The user has not consented to being remembered, or has withdrawn it; nothing was stored.")
	case errors.Is(err, rights.ErrHold):
		return newProblem(http.StatusConflict, "legal-hold", "Legal hold", "A legal hold keeps the memory; nothing was deleted.")
	case errors.Is(err, rights.ErrTooMany):
		p = newProblem(http.StatusInsufficientStorage, "storage-full", "No room left", "No more refusals can be kept; erase users who withdrew instead.")
	case errors.Is(err, memory.ErrReused):
		return newProblem(http.StatusUnprocessableEntity, "idempotency-key-reused", "Idempotency key reused",
			"The Idempotency-Key was used for another request; use a new one.")
	case errors.Is(err, memory.ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p = newProblem(http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable", "The store is busy; try again.")
	case errors.Is(err, memory.ErrKeys):
		p = newProblem(http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable", "The keys of the memories cannot be had at the moment; try again.")
	case errors.Is(err, memory.ErrReadOnly):
		p = newProblem(http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable", "The store takes no writes at the moment; nothing was changed.")
		p.retryAfter = 30
	case errors.Is(err, memory.ErrFull):
		p = newProblem(http.StatusInsufficientStorage, "storage-full", "No room left", "The store has no room; nothing was stored.")
	default:
		p = s.internal(id)
	}
	p.cause = err
	return p
}

func (s *Server) internal(id Identity) *problem {
	p := newProblem(http.StatusInternalServerError, "internal", "Internal error", "The request failed; nothing was changed.")
	p.ID = id.Request
	return p
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		writeProblem(w, newProblem(http.StatusInternalServerError, "internal", "Internal error", "The answer could not be written."))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client is gone if this fails
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	err := s.Store.Ready(r.Context())
	if err == nil && s.Ready != nil {
		err = s.Ready(r.Context())
	}
	if err != nil {
		if f, ok := r.Context().Value(factsKey{}).(*facts); ok {
			f.err = err
		}
		writeProblem(w, newProblem(http.StatusServiceUnavailable, "not-ready", "Not ready", "The service cannot take requests yet."))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *Server) newID() (string, error) {
	id, err := uuid.NewRandomFromReader(s.Random)
	return id.String(), err
}

// now is the time of a write, in the precision that is stored.
func (s *Server) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func (s *Server) change(c *call) memory.Write { return memory.Write{By: c.id.Subject, At: s.now()} }
