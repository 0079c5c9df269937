package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

const (
	maxIdempotencyKey = 255            // bytes of an Idempotency-Key
	onceFor           = 24 * time.Hour // how long one is remembered
)

// etag sets the entity tag of a memory (RFC 9110, section 8.8.3): its version.
func (c *call) etag(m *memory.Memory) {
	c.w.Header().Set("ETag", `"`+strconv.FormatInt(m.Version, 10)+`"`)
}

// conditional is the change of a request that may demand a version by If-Match (RFC 9110, section 13.1.1).
func (s *Server) conditional(c *call) (memory.Write, error) {
	w := s.change(c)
	values := c.Header.Values("If-Match")
	switch {
	case len(values) == 0 || len(values) == 1 && strings.TrimSpace(values[0]) == "*":
		return w, nil // a memory that is not there is 404 in any case
	case len(values) > 1 || strings.Contains(values[0], ","):
		return w, badRequest("If-Match must name one entity tag.")
	}
	tag := strings.TrimSpace(values[0])
	w.IfVersion = -1 // no memory is at it
	if len(tag) > 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		if v, err := strconv.ParseInt(tag[1:len(tag)-1], 10, 64); err == nil && v > 0 && strconv.FormatInt(v, 10) == tag[1:len(tag)-1] {
			w.IfVersion = v
		}
	}
	return w, nil
}

// replay is an answer that was given before.
type replay struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// once is the change of a request that creates something, which its Idempotency-Key lets happen once
// (draft-ietf-httpapi-idempotency-key-header). The answer is kept for whoever repeats it.
func (s *Server) once(c *call, f *form, status int, answer any) (memory.Write, error) {
	w := s.change(c)
	w.Distinct = s.Distinct
	values := c.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return w, nil
	}
	key := strings.TrimSpace(values[0])
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return w, badRequest("Idempotency-Key must be one value of at most 255 visible ASCII characters.")
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return w, err
	}
	kept, err := json.Marshal(replay{status, body})
	if err != nil {
		return w, err
	}
	w.Once = &memory.Once{
		Key:     c.id.Subject + "\x00" + c.id.Agent + "\x00" + key,
		Request: append([]byte(c.Method+" "+c.URL.Path+"\x00"), f.raw...),
		Answer:  kept,
		For:     onceFor,
	}
	return w, nil
}

// answerAgain gives the answer of the first request to one that repeats it.
func (s *Server) answerAgain(w http.ResponseWriter, kept []byte) error {
	var r replay
	if err := json.Unmarshal(kept, &r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body) // the client is gone if this fails
	return nil
}
