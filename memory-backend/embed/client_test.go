package embed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/embed/embedtest"
	"github.com/memgate/memgate/memory-backend/memory"
)

var letters = memory.Space{Model: "letters", Dimensions: 16}

func client(t testing.TB, s *embedtest.Server) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{URL: s.URL, Space: letters, Key: "test-key"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEmbed(t *testing.T) {
	for _, inBase64 := range []bool{false, true} {
		s := embedtest.Serve(t, letters.Dimensions)
		if inBase64 {
			s.Base64()
		}
		var texts []string
		for i := range 2*maxTexts + 3 {
			texts = append(texts, fmt.Sprint("text ", i))
		}
		texts = append(texts, strings.Repeat("long ", maxBytes/5), "after")
		vectors, err := client(t, s).Embed(t.Context(), texts)
		if err != nil || len(vectors) != len(texts) {
			t.Fatalf("%d vectors, %v", len(vectors), err)
		}
		for i, text := range texts {
			if dot := memory.Dot(vectors[i], embedtest.Vector(text, letters.Dimensions)); dot < 0.9999 {
				t.Errorf("vector %d is of another text", i)
			}
		}
		asked := s.Requests()
		if len(asked) != 4 && len(asked) != 5 {
			t.Errorf("%d requests", len(asked))
		}
		for _, r := range asked {
			if r.Key != "test-key" || r.Model != "letters" || len(r.Texts) > maxTexts {
				t.Errorf("asked %q for %d of %q", r.Key, len(r.Texts), r.Model)
			}
		}
	}
}

// TestEmbedFaults has a server answer wrongly in each way.
func TestEmbedFaults(t *testing.T) {
	answer := func(body string) func(http.ResponseWriter, embedtest.Request) bool {
		return func(w http.ResponseWriter, _ embedtest.Request) bool { _, _ = w.Write([]byte(body)); return true }
	}
	status := func(code int) func(http.ResponseWriter, embedtest.Request) bool {
		return func(w http.ResponseWriter, _ embedtest.Request) bool {
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", "7")
			http.Error(w, "no", code)
			return true
		}
	}
	vector := func(numbers string) string { return `{"data":[{"index":0,"embedding":[` + numbers + `]}]}` }
	zeros := strings.TrimSuffix(strings.Repeat("0,", letters.Dimensions), ",")
	for name, c := range map[string]struct {
		fault func(http.ResponseWriter, embedtest.Request) bool
		want  error
	}{
		"garbage":        {answer("<html>"), ErrAnswer},
		"nothing":        {answer("{}"), ErrAnswer},
		"too few":        {answer(`{"data":[]}`), ErrAnswer},
		"too many":       {answer(`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}`), ErrAnswer},
		"another index":  {answer(`{"data":[{"index":1,"embedding":[1]}]}`), ErrAnswer},
		"shorter":        {answer(vector("1,2,3")), ErrDimensions},
		"longer":         {answer(vector(zeros + ",1")), ErrDimensions},
		"NaN":            {answer(vector(strings.Replace(zeros, "0", "NaN", 1))), ErrAnswer},
		"too great":      {answer(vector(strings.Replace(zeros, "0", "1e400", 1))), ErrAnswer},
		"all zero":       {answer(vector(zeros)), ErrAnswer},
		"text":           {answer(vector(strings.Replace(zeros, "0", `"x"`, 1))), ErrAnswer},
		"NaN in base64":  {answer(`{"data":[{"index":0,"embedding":"` + strings.Repeat("AADAf", 0) + strings.Repeat("AADAfwAAwH8AAMB/", 5) + `AADAfw=="}]}`), ErrAnswer},
		"no base64":      {answer(`{"data":[{"index":0,"embedding":"!"}]}`), ErrAnswer},
		"huge":           {answer(`{"data":[` + strings.Repeat(" ", 1<<20) + `]}`), ErrAnswer},
		"unauthorized":   {status(401), ErrAnswer},
		"redirect":       {status(307), ErrAnswer},
		"refused":        {status(400), ErrRefused},
		"too long":       {status(413), ErrRefused},
		"too many asked": {status(429), ErrUnavailable},
		"internal error": {status(500), ErrUnavailable},
		"unavailable":    {status(503), ErrUnavailable},
		"broken off": {func(w http.ResponseWriter, _ embedtest.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := embedtest.Serve(t, letters.Dimensions)
			s.Fail(c.fault)
			v, err := client(t, s).Embed(t.Context(), []string{"text"})
			if v != nil || !errors.Is(err, c.want) {
				t.Fatalf("%v, %v", v, err)
			}
			if text := err.Error(); strings.Contains(text, "test-key") || strings.Contains(text, "text\"") {
				t.Errorf("the error says too much: %s", text)
			}
			var later *retryError
			if name == "too many asked" && (!errors.As(err, &later) || later.after != 7*time.Second) {
				t.Errorf("waits %+v", later)
			}
			for _, r := range s.Requests()[1:] {
				t.Errorf("asked again: %v", r)
			}
		})
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := NewClient(ClientConfig{URL: s.URL + "/v1", Space: letters})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Embed(t.Context(), []string{"text"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("away: %v", err)
	}
	slow := embedtest.Serve(t, letters.Dimensions)
	block := make(chan struct{})
	slow.Fail(func(http.ResponseWriter, embedtest.Request) bool { <-block; return true })
	defer close(block)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client(t, slow).Embed(ctx, []string{"text"}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow: %v", err)
	}
}

func TestNewClient(t *testing.T) {
	for _, c := range []struct {
		url, key string
		plain    bool
		space    memory.Space
		ok       bool
	}{
		{"https://api.example.com/v1", "k", false, letters, true},
		{"https://api.example.com/v1/", "", false, letters, true},
		{"http://127.0.0.1:11434/v1", "k", false, letters, true},
		{"http://localhost/v1", "k", false, letters, true},
		{"http://embeddings/v1", "", true, letters, true},
		{"http://embeddings/v1", "", false, letters, false},
		{"http://embeddings/v1", "k", true, letters, false},
		{"ftp://api.example.com", "", false, letters, false},
		{"https://user:pass@api.example.com/v1", "", false, letters, false},
		{"https://api.example.com/v1?x=1", "", false, letters, false},
		{"", "", false, letters, false},
		{"https://api.example.com/v1", "", false, memory.Space{Dimensions: 3}, false},
		{"https://api.example.com/v1", "", false, memory.Space{Model: "m", Dimensions: memory.MaxDimensions + 1}, false},
	} {
		if _, err := NewClient(ClientConfig{URL: c.url, Key: c.key, PlainHTTP: c.plain, Space: c.space}); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestShorten asks for shorter vectors only where that is wanted.
func TestShorten(t *testing.T) {
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1000)
		n, _ := r.Body.Read(b)
		bodies = append(bodies, string(b[:n]))
		embedtest.Answer(w, "m", [][]float32{embedtest.Vector("x", 16)}, false)
	}))
	defer s.Close()
	for _, shorten := range []bool{false, true} {
		c, err := NewClient(ClientConfig{URL: s.URL, Space: letters, SendDimensions: shorten})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Embed(t.Context(), []string{"x"}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{`{"model":"letters","input":["x"],"encoding_format":"float"}`, `{"model":"letters","input":["x"],"encoding_format":"float","dimensions":16}`}
	if !reflect.DeepEqual(bodies, want) {
		t.Errorf("%q", bodies)
	}
}

// FuzzDecode looks for answers that are taken and cannot be compared.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"data":[{"index":0,"embedding":[1,2]}]}`, `{"data":[{"index":0,"embedding":"AACAPwAAAEA="}]}`, `{"data":[{"index":0,"embedding":[1e39,1]}]}`,
		`{"data":[{"index":-1}]}`, `{"data":null}`, `[]`, `{"data":[{"index":0,"embedding":[1e-44,0]}]}`, `{"data":[{"index":0,"embedding":[3e38,3e38]}]}`} {
		f.Add([]byte(seed))
	}
	c := &Client{ClientConfig: ClientConfig{Space: memory.Space{Model: "m", Dimensions: 2}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		vectors, err := c.decode(data, 1)
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Fatal(err)
			}
			return
		}
		if n := memory.Dot(vectors[0], vectors[0]); !(n > 0.999 && n < 1.001) {
			t.Fatalf("the length of %v is %f", vectors[0], n)
		}
	})
}
