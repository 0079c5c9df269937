// Package embedtest makes dense vectors for tests, and is a server of them: it answers POST /v1/embeddings as servers that
// are compatible with OpenAI's do, by rules that need no model.
package embedtest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Vector returns a vector of unit length: texts that share runs of three letters get similar ones.
func Vector(text string, dimensions int) []float32 {
	v := make([]float32, dimensions)
	for _, word := range strings.Fields(strings.ToLower(text)) {
		padded := "^" + word + "$"
		for i := 0; i+3 <= len(padded); i++ {
			h := fnv.New64a()
			_, _ = io.WriteString(h, padded[i:i+3])
			sum := h.Sum64()
			sign := float32(1)
			if sum>>63 == 1 {
				sign = -1
			}
			v[sum%uint64(dimensions)] += sign
		}
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		v[0], sum = 1, 1
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

// Request is what the server was asked.
type Request struct {
	Key   string // of Authorization: Bearer
	Model string
	Texts []string
}

// Server makes vectors of texts.
type Server struct {
	URL        string // of its /v1
	Dimensions int

	mu       sync.Mutex
	requests []Request
	fault    func(w http.ResponseWriter, r Request) bool
	base64   bool
}

// Serve starts a server on loopback.
func Serve(t testing.TB, dimensions int) *Server {
	t.Helper()
	s := &Server{Dimensions: dimensions}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.URL = h.URL + "/v1"
	return s
}

// Fail has a function answer in the place of the server, where it returns true; nil for none. It is called with the
// request that was read.
func (s *Server) Fail(f func(w http.ResponseWriter, r Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Base64 has the server answer in base64, whatever it is asked for.
func (s *Server) Base64() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base64 = true
}

// Requests returns what it was asked so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var asked struct {
		Model  string   `json:"model"`
		Input  []string `json:"input"`
		Format string   `json:"encoding_format"`
	}
	if q.Method != http.MethodPost || q.URL.Path != "/v1/embeddings" || json.NewDecoder(q.Body).Decode(&asked) != nil || len(asked.Input) == 0 {
		http.Error(w, `{"error":{"message":"not a request for embeddings"}}`, http.StatusBadRequest)
		return
	}
	key, _ := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	r := Request{Key: key, Model: asked.Model, Texts: asked.Input}
	s.mu.Lock()
	s.requests = append(s.requests, r)
	fault, inBase64 := s.fault, s.base64
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	vectors := make([][]float32, len(r.Texts))
	for i, text := range r.Texts {
		vectors[i] = Vector(text, s.Dimensions)
	}
	Answer(w, r.Model, vectors, inBase64)
}

// Answer writes vectors as a server of embeddings does.
func Answer(w http.ResponseWriter, model string, vectors [][]float32, inBase64 bool) {
	data := make([]map[string]any, len(vectors))
	for i, v := range vectors {
		var embedding any = v
		if inBase64 {
			var b []byte
			for _, x := range v {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
			embedding = base64.StdEncoding.EncodeToString(b)
		}
		data[i] = map[string]any{"object": "embedding", "index": i, "embedding": embedding}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "model": model, "data": data, "usage": map[string]int{"prompt_tokens": 1, "total_tokens": 1}})
}
