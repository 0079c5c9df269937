package redact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Secrets are put together here, so that scanners for secrets find none in the
// source.
var canaries = map[string]string{
	"mail":          "ann.canary@example.com",
	"card":          "4111 1111 1111 1111",
	"jwt":           "eyJhbGciOiJFUzI1NiJ9." + "eyJzdWIiOiJhbm4ifQ." + strings.Repeat("a_-9", 20),
	"key":           "mg_" + "dev_k3yk3yk3yk3y_" + strings.Repeat("s3cr3t", 6),
	"session":       "ms_" + "s3ss10ns3ss1_" + strings.Repeat("s3cr3t", 6),
	"aws":           "AKIA" + "IOSFODNN7" + "EXAMPLE",
	"redis":         "redis://:" + "hunter2hunter2" + "@10.0.0.1:6379/0",
	"bearer":        "Bearer " + "abcDEF123.456~opaque",
	"authorization": "authorization: BASIC " + "dXNlcjpwYXNzd29yZA==",
	"address":       "203.0.113.77",
}

// secret is the part of a canary that must be gone.
func secret(name string) string {
	switch c := canaries[name]; name {
	case "redis":
		return "hunter2"
	case "bearer", "authorization":
		return c[strings.LastIndexByte(c, ' ')+1:]
	default:
		return c
	}
}

type valuer struct{ text string }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", v.text)) }

type stringer struct{ text string }

func (s *stringer) String() string { return s.text }

// Each canary in each place of a record.
func TestCanaries(t *testing.T) {
	for name, canary := range canaries {
		text := "it is " + canary + " here"
		for place, log := range map[string]func(*slog.Logger){
			"message": func(l *slog.Logger) { l.Info(text) },
			"string":  func(l *slog.Logger) { l.Info("m", "a", text) },
			"alone":   func(l *slog.Logger) { l.Info("m", "a", canary) },
			"key":     func(l *slog.Logger) { l.Info("m", text, 1) },
			"error":   func(l *slog.Logger) { l.Error("m", "error", fmt.Errorf("outer: %w", errors.New(text))) },
			"url error": func(l *slog.Logger) {
				l.Error("m", "error", &url.Error{Op: "Get", URL: "http://h/", Err: errors.New(text)})
			},
			"struct":     func(l *slog.Logger) { l.Info("m", "a", struct{ Field string }{text}) },
			"map":        func(l *slog.Logger) { l.Info("m", "a", map[string]any{"x": []string{text}}) },
			"bytes":      func(l *slog.Logger) { l.Info("m", "a", []byte(text)) },
			"stringer":   func(l *slog.Logger) { l.Info("m", "a", &stringer{text}) },
			"group":      func(l *slog.Logger) { l.Info("m", slog.Group("g", slog.Group("h", slog.String("a", text)))) },
			"log valuer": func(l *slog.Logger) { l.Info("m", "a", valuer{text}) },
			"with":       func(l *slog.Logger) { l.With("a", text).Info("m") },
			"with group": func(l *slog.Logger) { l.WithGroup("g").With("e", errors.New(text)).Info("m", "b", text) },
			"group name": func(l *slog.Logger) { l.WithGroup(text).Info("m", "a", 1) },
			"attrs":      func(l *slog.Logger) { l.LogAttrs(context.Background(), slog.LevelWarn, "m", slog.Any("a", text)) },
			"old logger": func(l *slog.Logger) { slog.NewLogLogger(l.Handler(), slog.LevelWarn).Printf("http: %s", text) },
		} {
			var out bytes.Buffer
			log(slog.New(NewHandler(slog.NewJSONHandler(&out, nil))))
			if strings.Contains(out.String(), secret(name)) {
				t.Errorf("%s as %s: %s", name, place, out.String())
			}
			if !strings.Contains(out.String(), "[") {
				t.Errorf("%s as %s: nothing stands for it: %s", name, place, out.String())
			}
		}
	}
}

// What operators need stays as it is.
func TestStays(t *testing.T) {
	for _, text := range []string{
		"serving", "127.0.0.1:9001", "dial tcp 10.1.2.3:6379: connect: connection refused", "[::1]:8080",
		"a token signature is invalid", "bearer tokens are not accepted here", "basic authentication",
		"https://idp.example.com/.well-known/openid-configuration", "redis://10.0.0.1:6379/0",
		"memgate.yaml:12:3: error unknown-key: unknown key \"alow\"", "duration_ms_total", "route agent-create",
		"2026-11-22T11:39:28.409212377Z", "1763811568409", strings.Repeat("0123456789abcdef", 4),
	} {
		var out bytes.Buffer
		l := slog.New(NewHandler(slog.NewTextHandler(&out, nil)))
		l.Info("m", "a", text)
		var plain bytes.Buffer
		slog.New(slog.NewTextHandler(&plain, nil)).Info("m", "a", text)
		if got, want := out.String()[strings.Index(out.String(), "level="):], plain.String()[strings.Index(plain.String(), "level="):]; got != want {
			t.Errorf("%s becomes %s", want, got)
		}
	}
}

// Request ids and digests are never taken for numbers of anything.
func TestIdentifiersStay(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := new(scratch)
	for range 20_000 {
		var raw uuid.UUID
		for i := range raw {
			raw[i] = byte(random.Uint32())
			if random.IntN(2) == 0 { // more digits than chance has
				raw[i] = byte(random.IntN(10)<<4 | random.IntN(10))
			}
		}
		if text := raw.String(); func() bool { _, changed := s.clean(text); return changed }() {
			t.Fatalf("%s is changed", text)
		}
	}
}

func TestValues(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(NewHandler(slog.NewJSONHandler(&out, nil)))
	var missing *stringer
	l.Info("m", "n", 7, "d", time.Second, "b", true, "f", 1.5, "card", 4111111111111111, "u", uint64(4111111111111111),
		"time", time.Unix(0, 0).UTC(), "nil", nil, "bad", missing, "channel", make(chan int))
	for _, want := range []string{`"n":7`, `"d":1000000000`, `"b":true`, `"f":1.5`, `"card":"[CREDIT_CARD]"`, `"u":"[CREDIT_CARD]"`, `"time":"1970-01-01T00:00:00Z"`, `"nil":"<nil>"`, `PANIC`, `"channel":"!chan int"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "4111") {
		t.Error(out.String())
	}
	out.Reset()
	l.Info("m", "long", strings.Repeat("word ", MaxText)+"ann@example.com")
	if out.Len() > MaxText+500 || !strings.Contains(out.String(), cut) {
		t.Errorf("%d bytes of a long text", out.Len())
	}
	if NewHandler(slog.NewJSONHandler(&out, nil)).Enabled(context.Background(), slog.LevelDebug) {
		t.Error("the level is not that of the handler behind")
	}
}

// FuzzClean: no input makes the handler fail, what is clean stays so, and text
// without anything to find stays as it is.
func FuzzClean(f *testing.F) {
	for _, c := range canaries {
		f.Add(c)
		f.Add(c + c)
	}
	f.Add("://@")
	f.Add("mg_")
	f.Add("Bearer ")
	f.Fuzz(func(t *testing.T, text string) {
		s := new(scratch)
		out, changed := s.clean(text)
		if !changed && out != text {
			t.Fatalf("%q becomes %q and counts as unchanged", text, out)
		}
		if len(text) < MaxText {
			if s.clean(out); len(out) > 8*len(text)+64 {
				t.Fatalf("%d bytes of %d", len(out), len(text))
			}
		}
	})
}

// go test -run='^$' -bench=. -count=6 ./filter/server/redact | benchstat -
func BenchmarkHandle(b *testing.B) {
	for name, text := range map[string]string{"clean": "token: signature is not valid for the key k1 of https://idp.example.com", "redacted": "no user ann@example.com at redis://:secretsecret1@10.0.0.1"} {
		for handler, h := range map[string]slog.Handler{
			"json":   slog.NewJSONHandler(discard{}, nil),
			"redact": NewHandler(slog.NewJSONHandler(discard{}, nil)),
		} {
			b.Run(name+"/"+handler, func(b *testing.B) {
				l := slog.New(h)
				b.ReportAllocs()
				for b.Loop() {
					l.LogAttrs(context.Background(), slog.LevelInfo, "denied", slog.String("request_id", "3f2c5a34-6b54-4c9d-9f00-5e1d0a4c7b11"),
						slog.String("route", "agent-create"), slog.String("stage", "verify"), slog.String("error", text))
				}
			})
		}
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
