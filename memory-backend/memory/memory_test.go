package memory

import (
	"strings"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	for text, want := range map[string]string{
		"": "fact", "The sky is blue": "fact", "Alice prefers tea": "preference", "ALWAYS   write tests": "instruction",
		"We decided to use Go": "decision", "nevertheless it works": "fact", "I will send it": "commitment", "He wants to travel": "goal",
		"Build crashed at noon": "error", "error:404": "error", "Yesterday we met": "event", "She reports to Bob": "relationship",
		"unliked likes": "preference", "élikes": "fact",
	} {
		if got := Classify(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for _, c := range cues {
		if !ValidType(c.kind) {
			t.Errorf("%q leads to %q", c.phrase, c.kind)
		}
	}
}

func TestTitles(t *testing.T) {
	for text, want := range map[string]string{
		"short": "short", " a \r\n\u2028 b\u0085c ": "a b c", "\n": "", strings.Repeat("é", 50): strings.Repeat("é", 50),
		strings.Repeat("é", 51): strings.Repeat("é", 50) + "...",
	} {
		if got := TitleFrom(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestIndexText(t *testing.T) {
	m := &Memory{Agent: "bot", Actor: "bot", Content: "some content", Title: "some...", Created: time.Date(2026, 5, 7, 23, 0, 0, 0, time.UTC)}
	if got := m.IndexText(); got != "some content\n7 May 2026" {
		t.Errorf("%q", got)
	}
	m.Actor, m.Title, m.Tags, m.Category = "Alice", "headline", []string{"tag"}, []string{"cat"}
	if got := m.IndexText(); got != "Alice\nheadline\nsome content\ntag\ncat\n7 May 2026" {
		t.Errorf("%q", got)
	}
}

func TestStatusAt(t *testing.T) {
	now := time.Date(2026, 5, 7, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		m    Memory
		want string
	}{
		{Memory{Status: StatusActive}, StatusActive}, {Memory{Status: StatusExpired}, StatusExpired},
		{Memory{Status: StatusActive, Expires: now}, StatusExpired}, {Memory{Status: StatusActive, Expires: now.Add(time.Microsecond)}, StatusActive},
	} {
		if got := c.m.StatusAt(now); got != c.want {
			t.Errorf("%+v: %s", c.m, got)
		}
		if Match(Expired(now), &c.m) != (c.want == StatusExpired) {
			t.Errorf("%+v: the filter disagrees", c.m)
		}
	}
}

func TestValidAgentID(t *testing.T) {
	for id, want := range map[string]bool{"a": true, "A-z_9": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
		"": false, "a b": false, "a.b": false, "../a": false, "a\n": false, "é": false} {
		if ValidAgentID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}
