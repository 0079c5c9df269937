package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/rights"
)

const (
	ndjson       = "application/x-ndjson"
	exportFor    = time.Hour        // how long an export may take
	lineWithin   = 30 * time.Second // how long a caller may take to read some of it
	maxImport    = 1000             // lines of one import
	maxNestedRaw = 64 << 10         // bytes by which a line is read at a time
)

// exported reads what an export is of: a user, an agent, or the whole tenant.
func (c *call) exported(q url.Values) (sel rights.Selection, err error) {
	for name := range q {
		if name != "user_id" && name != "agent_id" && name != "cursor" { // ignoring it could export more than was meant
			return sel, invalid([]issue{{"extra_forbidden", []any{"query", name}, "An export cannot be narrowed by this"}})
		}
	}
	sel.User, sel.Agent = q.Get("user_id"), q.Get("agent_id")
	switch {
	case sel.User != "" && sel.Agent != "" || len(sel.User)+len(sel.Agent) > memory.MaxName:
		return sel, badRequest("Name at most one of user_id and agent_id.")
	case (q.Has("user_id") || q.Has("agent_id")) && sel.User == "" && sel.Agent == "":
		return sel, badRequest("user_id and agent_id must not be empty.")
	case sel.User != "":
		sel.Filter = memory.Eq(memory.FieldUser, sel.User)
	case sel.Agent != "":
		sel.Filter = memory.Eq(memory.FieldAgent, sel.Agent)
	default:
		sel.Tenant = true
	}
	if c.id.Agent != "" && sel.Agent != c.id.Agent {
		return sel, agentMismatch()
	}
	return sel, nil
}

// export streams everything that is held. What fails after it began breaks it off: only its end line says that
// it is whole, and the cursor of the last line that came lets it go on.
func (s *Server) export(c *call) (any, error) {
	q := c.URL.Query()
	sel, err := c.exported(q)
	if err != nil {
		return nil, err
	}
	// It takes longer than other requests, and ends when the caller does not read on.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), exportFor)
	defer cancel()
	out := bufio.NewWriterSize(c.w, maxNestedRaw)
	control := http.NewResponseController(c.w)
	began := false
	err = s.guard.Export(ctx, c.id.Tenant, sel, q.Get("cursor"), func(l *rights.Line) error {
		data, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if !began {
			began = true
			c.w.Header().Set("Content-Type", ndjson)
			c.w.WriteHeader(http.StatusOK)
		}
		// Not all writers have deadlines; those of the server do.
		if err := control.SetWriteDeadline(time.Now().Add(lineWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		_, err = out.Write(append(data, '\n'))
		return err
	})
	switch {
	case errors.Is(err, rights.ErrCursor):
		return nil, badCursor()
	case err != nil && !began:
		return nil, err
	case err == nil:
		err = out.Flush()
	default:
		_ = out.Flush() // so that the caller has the last cursor
	}
	if err != nil {
		s.Log.Error("export", "request_id", c.id.Request, "error", err.Error())
		panic(http.ErrAbortHandler) // a stream that is cut off must not look whole
	}
	return answered{}, nil
}

func (s *Server) importLines(c *call) (any, error) {
	if c.id.Agent != "" {
		return nil, agentMismatch()
	}
	if kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || kind != ndjson {
		return nil, newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type", "Send the lines of an export as "+ndjson+".")
	}
	data, err := readAll(c.w, c.Request, s.MaxBody)
	if err != nil {
		return nil, err
	}
	lines, err := rights.ReadLines(bytes.NewReader(data), maxImport)
	if err != nil {
		return nil, badRequest("The body is not made of lines of an export: " + rights.LineReason(err) + ".")
	}
	n, err := s.guard.Import(c.Context(), c.id.Tenant, s.change(c), lines)
	if errors.Is(err, rights.ErrLine) {
		return nil, badRequest("The body is not made of lines of an export: " + rights.LineReason(err) + ".")
	} else if err != nil {
		return nil, err
	}
	return map[string]any{"memories": n.Memories, "consents": n.Consents, "agents": n.Agents, "skipped": n.Skipped}, nil
}
