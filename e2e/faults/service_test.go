package faults

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// The service is down: the caller is told by a problem, and it works again as
// soon as the service is back.
func TestServiceDown(t *testing.T) {
	token := shared.Token("down", scopes)
	works(t, shared, token)
	svc.stop()
	restarted := false
	defer func() {
		if !restarted {
			svc.start(t)
		}
	}()
	r := remember(t, shared, token, "sent while the service is down")
	if slug := problem(t, r, http.StatusServiceUnavailable); slug != "unavailable" {
		t.Errorf("problem %s", slug)
	}
	if e := audited(t, shared, r.ID); e.Decision != "allow" || e.Status != 503 || e.Route != "remember" || e.Tenant != "down" || len(e.Flags) == 0 {
		t.Errorf("audited as %+v", e)
	}
	// Who is asking is still decided.
	if r := shared.Do(t, harness.Request{Path: "/api/v2/agents"}); r.Status != 401 {
		t.Errorf("without a credential: %d", r.Status)
	}
	svc.start(t)
	restarted = true
	works(t, shared, token)
}

// What the filter cannot look into does not pass.
func TestUninspectableAnswers(t *testing.T) {
	const secret = "jane.doe@example.com"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, `{"content":"`+secret+`"}`)
	_ = w.Close()
	token := shared.Token("answers", scopes)
	for name, c := range map[string]struct {
		header map[string]string
		body   string
		slug   string
	}{
		"compressed":      {map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}, packed.String(), "response-encoded"},
		"unknown coding":  {map[string]string{"Content-Type": "application/json", "Content-Encoding": "zstd"}, "\x28\xb5\x2f\xfd", "response-encoded"},
		"not text":        {map[string]string{"Content-Type": "application/octet-stream"}, secret, "response-uninspectable"},
		"another charset": {map[string]string{"Content-Type": "text/plain; charset=utf-16"}, strings.Join(strings.Split(secret, ""), "\x00"), "response-uninspectable"},
	} {
		answer := "uninspectable " + name
		svc.answer(answer, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Accept-Encoding"); got != "" && got != "identity" {
				t.Errorf("%s: the service was asked for %q", name, got)
			}
			for name, value := range c.header {
				w.Header().Set(name, value)
			}
			_, _ = io.WriteString(w, c.body)
		})
		r := shared.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{
			"Authorization": "Bearer " + token, answerHeader: answer, "Accept-Encoding": "gzip, zstd"}})
		if slug := problem(t, r, http.StatusBadGateway); slug != c.slug {
			t.Errorf("%s: problem %s, want %s", name, slug, c.slug)
		}
		if e := audited(t, shared, r.ID); e.Decision != "allow" || e.Status != 502 || e.Refusal != c.slug {
			t.Errorf("%s: audited as %+v", name, e)
		}
	}
}

// Services that break the protocol.
func TestBrokenAnswers(t *testing.T) {
	token := shared.Token("protocol", scopes)
	released := make(chan struct{})
	defer close(released)
	for name, c := range map[string]struct {
		status int
		slug   string
		answer http.HandlerFunc
	}{
		"no HTTP": {502, "upstream-fault", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "220 mail.example.com ESMTP\r\n\r\n")
				_ = conn.Close()
			}
		}},
		"no answer": {503, "unavailable", func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		}},
		"too slow": {504, "upstream-timeout", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-released:
			case <-time.After(time.Minute):
			}
		}},
	} {
		svc.answer("broken "+name, c.answer)
		before := svc.count()
		r := remember(t, shared, token, "x is y", answerHeader, "broken "+name)
		if slug := problem(t, r, c.status); slug != c.slug {
			t.Errorf("%s: problem %s, want %s", name, slug, c.slug)
		}
		// A write that may have happened is not sent again.
		if got := svc.count() - before; got != 1 {
			t.Errorf("%s: the service got the request %d times", name, got)
		}
	}
}
