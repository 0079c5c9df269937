// Package embed gives memories dense vectors: it asks a server that is compatible with OpenAI's embeddings
// (POST /v1/embeddings) for those of texts, and has a store keep them and search by them.
//
// Nothing waits for the server for long, and nothing fails because of it: a memory is stored without a vector, which is
// made up for later, and a recall goes by words alone. The server reads the texts in clear.
package embed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Bounds of one request.
const (
	maxTexts    = 64        // texts at a time
	maxBytes    = 512 << 10 // of all texts together, unless a single one is longer
	maxPerValue = 32        // bytes that a number takes in an answer
	maxWait     = 30 * time.Second
)

// Errors of Embed.
var (
	// ErrAnswer: the server answered something else than the vectors that were asked for.
	ErrAnswer = errors.New("embed: the server's answer cannot be used")
	// ErrDimensions: its vectors are of another length than they should be. It is an ErrAnswer.
	ErrDimensions = fmt.Errorf("%w: vectors of another length", ErrAnswer)
	// ErrRefused: the server does not take this text, now or later.
	ErrRefused = errors.New("embed: the server refused the text")
	// ErrUnavailable: the server cannot be reached, is too slow, or takes no requests at the moment.
	ErrUnavailable = errors.New("embed: the server is not available")
)

// ClientConfig says where vectors come from. URL and Space are required.
type ClientConfig struct {
	URL   string // of the API, to which /embeddings is added: https://HOST/v1; http to loopback, or where PlainHTTP is set
	Space memory.Space
	// SendDimensions asks the server for vectors of this length, which only some models can choose.
	SendDimensions bool
	Key            string // sent as Authorization: Bearer, with TLS or to loopback only; "" for none
	PlainHTTP      bool   // allow http to another host; without a Key only
	HTTP           http.RoundTripper
}

// Client asks the server. It is safe for concurrent use.
type Client struct {
	ClientConfig
	at   string
	http *http.Client
}

// NewClient checks the configuration; it asks nothing yet.
func NewClient(c ClientConfig) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("embed: the URL must be https://HOST/v1 or http://HOST/v1")
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	switch {
	case c.Space.Model == "" || c.Space.Dimensions < 1 || c.Space.Dimensions > memory.MaxDimensions:
		return nil, fmt.Errorf("embed: a model, and a length of 1 to %d, are required", memory.MaxDimensions)
	case u.Scheme == "http" && !loopback && c.Key != "":
		return nil, errors.New("embed: a key is sent with TLS, or to loopback, only")
	case u.Scheme == "http" && !loopback && !c.PlainHTTP:
		return nil, errors.New("embed: texts are sent with TLS, or to loopback, only")
	}
	if c.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 8
		t.ResponseHeaderTimeout = maxWait
		c.HTTP = t
	}
	return &Client{ClientConfig: c, at: strings.TrimSuffix(c.URL, "/") + "/embeddings", http: &http.Client{
		Transport: c.HTTP,
		// Texts go where the operator said, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Embed returns the vectors of texts, of unit length, in their order. It asks once for each batch, and does not outlast
// ctx.
func (c *Client) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, 0, len(texts))
	for len(texts) > 0 {
		n, size := 0, 0
		for n < len(texts) && n < maxTexts && (n == 0 || size+len(texts[n]) <= maxBytes) {
			size += len(texts[n])
			n++
		}
		batch, err := c.ask(ctx, texts[:n])
		if err != nil {
			return nil, err
		}
		vectors, texts = append(vectors, batch...), texts[n:]
	}
	return vectors, nil
}

// request is the body of a request (https://platform.openai.com/docs/api-reference/embeddings/create).
type request struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Format     string   `json:"encoding_format"`
	Dimensions int      `json:"dimensions,omitempty"`
}

// retryError is a failure after which trying again later can succeed.
type retryError struct {
	err   error
	after time.Duration // as the server asks for; 0 if it does not
}

func (e *retryError) Error() string   { return e.err.Error() }
func (e *retryError) Unwrap() []error { return []error{ErrUnavailable, e.err} }

func (c *Client) ask(ctx context.Context, texts []string) ([][]float32, error) {
	r := request{Model: c.Space.Model, Input: texts, Format: "float"}
	if c.SendDimensions {
		r.Dimensions = c.Space.Dimensions
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Accept", "application/json")
	if c.Key != "" {
		q.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return nil, &retryError{err: err}
	}
	defer answer.Body.Close()
	most := int64(len(texts))*int64(c.Space.Dimensions*maxPerValue+1024) + 64<<10
	data, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout || answer.StatusCode >= 500:
		return nil, &retryError{fmt.Errorf("embed: the server answers %d", answer.StatusCode), retryAfter(answer.Header.Get("Retry-After"))}
	case answer.StatusCode == http.StatusBadRequest || answer.StatusCode == http.StatusRequestEntityTooLarge || answer.StatusCode == http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%w: it answers %d", ErrRefused, answer.StatusCode)
	case answer.StatusCode != http.StatusOK: // also 401 and 403: the operator must look
		return nil, fmt.Errorf("%w: status %d", ErrAnswer, answer.StatusCode)
	case err != nil:
		return nil, &retryError{err: err}
	case int64(len(data)) > most:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, most)
	}
	return c.decode(data, len(texts))
}

// retryAfter reads a number of seconds; 0 for anything else.
func retryAfter(value string) time.Duration {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// decode reads the vectors of n texts.
func (c *Client) decode(data []byte, n int) ([][]float32, error) {
	var answer struct {
		Data []struct {
			Index     int             `json:"index"`
			Embedding json.RawMessage `json:"embedding"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("%w: it is not the JSON that was expected", ErrAnswer)
	}
	if len(answer.Data) != n {
		return nil, fmt.Errorf("%w: %d vectors for %d texts", ErrAnswer, len(answer.Data), n)
	}
	vectors := make([][]float32, n)
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= n || vectors[d.Index] != nil {
			return nil, fmt.Errorf("%w: vectors are not numbered as the texts", ErrAnswer)
		}
		v, err := numbers(d.Embedding)
		if err != nil {
			return nil, err
		}
		if len(v) != c.Space.Dimensions {
			return nil, fmt.Errorf("%w: %d instead of %d", ErrDimensions, len(v), c.Space.Dimensions)
		}
		if !memory.Unit(v) {
			return nil, fmt.Errorf("%w: a vector without a direction", ErrAnswer)
		}
		vectors[d.Index] = v
	}
	return vectors, nil
}

// numbers reads a vector: a list of numbers, or those of 32 bits in little endian in base64.
func numbers(raw json.RawMessage) ([]float32, error) {
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("%w: a vector is damaged", ErrAnswer)
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b)%4 != 0 {
			return nil, fmt.Errorf("%w: a vector is not base64 of numbers", ErrAnswer)
		}
		v := make([]float32, len(b)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return v, nil
	}
	var v []float32
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("%w: a vector is not a list of numbers", ErrAnswer)
	}
	return v, nil
}
