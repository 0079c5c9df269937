package attacks

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// silence is how long to listen for more answers after the first one.
const silence = 150 * time.Millisecond

// exchange sends bytes over a connection of its own and returns all answers.
func exchange(t testing.TB, raw string) []*harness.Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", stack.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	// The edge may answer and close before it has read everything.
	go func() { _, _ = io.WriteString(conn, raw) }()
	return answers(t, conn, raw)
}

// answers reads what comes until the connection ends or nothing comes any more.
func answers(t testing.TB, conn net.Conn, raw string) []*harness.Response {
	t.Helper()
	method, _, _ := strings.Cut(raw, " ")
	in := bufio.NewReader(conn)
	var out []*harness.Response
	for {
		if len(out) > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(silence))
		}
		if _, err := in.Peek(1); err != nil {
			var timeout net.Error
			if len(out) == 0 && errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("no answer")
			}
			return out
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("what comes back is no answer: %v", err)
		}
		text, broken := io.ReadAll(response.Body)
		if response.StatusCode == http.StatusContinue {
			continue
		}
		out = append(out, &harness.Response{
			Status: response.StatusCode, Header: response.Header, Body: string(text), Length: response.ContentLength,
			Broken: broken, ID: response.Header.Get("X-Request-Id"),
		})
	}
}

// lines makes a request without a body of its head, and closes the connection
// after it.
func lines(head ...string) string {
	return strings.Join(append(head, "Host: edge", "Connection: close"), "\r\n") + "\r\n\r\n"
}

// authorized is lines with a good credential.
func authorized(head ...string) string {
	return lines(append(head, "Authorization: Bearer {token}")...)
}

// post is a request with a JSON body and a good credential.
func post(path, body string, head ...string) string {
	return send("POST", path, body, append(head, "Content-Type: application/json")...)
}

// send is a request with a body and a good credential.
func send(method, path, body string, head ...string) string {
	return authorized(append([]string{method + " " + path + " HTTP/1.1", "Content-Length: " + strconv.Itoa(len(body))}, head...)...) + body
}

// chunked is a POST whose body comes in the given chunks.
func chunked(path string, chunks []string, head ...string) string {
	var body bytes.Buffer
	for _, c := range chunks {
		body.WriteString(strconv.FormatInt(int64(len(c)), 16) + "\r\n" + c + "\r\n")
	}
	body.WriteString("0\r\n\r\n")
	return authorized(append([]string{"POST " + path + " HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json"}, head...)...) + body.String()
}

// each cuts a text into pieces of n bytes.
func each(n int, s string) (out []string) {
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}
