package harness

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Request is a request of a test.
type Request struct {
	Method string // GET when empty
	Path   string // / when empty
	Header map[string]string
	Body   string
	// Pieces, when not nil, are the body, sent chunked and flushed one by one.
	Pieces  []string
	Trailer map[string]string
	// HTTP2 sends it as HTTP/2, with prior knowledge.
	HTTP2 bool
}

// Response is a response, read whole.
type Response struct {
	Status int
	Header http.Header
	// Trailer is what followed the body.
	Trailer http.Header
	Body    string
	// Length is the Content-Length, -1 without one.
	Length int64
	// Broken says that the response broke off.
	Broken error
	// ID is its x-request-id.
	ID string
}

// One connection pool for all tests: nothing is decompressed or followed.
var (
	http1 = clientOf(func(p *http.Protocols) { p.SetHTTP1(true) })
	http2 = clientOf(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
)

func clientOf(speak func(*http.Protocols)) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, Protocols: new(http.Protocols)}
	speak(transport.Protocols)
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do sends a request to base, a URL without a path, and reads the response.
func Do(t T, base string, r Request) *Response {
	t.Helper()
	var body io.Reader
	switch {
	case r.Pieces != nil:
		body = &pieces{left: r.Pieces}
	case r.Body != "":
		body = strings.NewReader(r.Body)
	}
	method, path := r.Method, r.Path
	if method == "" {
		method = http.MethodGet
	}
	if path == "" {
		path = "/"
	}
	request, err := http.NewRequest(method, base+path, body)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	if r.Trailer != nil {
		request.ContentLength, request.Trailer = -1, make(http.Header)
		for name, value := range r.Trailer {
			request.Trailer.Set(name, value)
		}
	}
	client := http1
	if r.HTTP2 {
		client = http2
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return read(response)
}

func read(response *http.Response) *Response {
	defer response.Body.Close()
	text, broken := io.ReadAll(response.Body)
	return &Response{
		Status: response.StatusCode, Header: response.Header, Trailer: response.Trailer, Body: string(text),
		Length: response.ContentLength, Broken: broken, ID: response.Header.Get("X-Request-Id"),
	}
}

// Raw sends a request of these lines to host:port over a connection of its own,
// for what no client library would send.
func Raw(t T, address string, lines ...string) *Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatalf("%v", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return read(response)
}

// pieces is a body that arrives in pieces.
type pieces struct{ left []string }

func (p *pieces) Read(buf []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(buf, p.left[0])
	if p.left[0] = p.left[0][n:]; p.left[0] == "" {
		p.left = p.left[1:]
		// The transport sends what it has when a reader takes its time.
		time.Sleep(2 * time.Millisecond)
	}
	return n, nil
}
