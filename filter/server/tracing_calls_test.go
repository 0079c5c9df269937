package server

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func recorded() (*tracing, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return &tracing{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")}, spans
}

// What a Redis is asked has a span where the check has one, with the name of the command and
// none of its words; what is asked in the background has none.
func TestRedisSpans(t *testing.T) {
	tr, spans := recorded()
	hook := tr.redis("memgate.state")
	var answer error
	one := hook.ProcessHook(func(context.Context, redis.Cmder) error { return answer })
	many := hook.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return answer })
	followed, check := tr.tracer.Start(t.Context(), "check")
	for _, c := range []struct {
		name   string
		ctx    context.Context
		answer error
		status codes.Code
	}{
		{"in the background", t.Context(), nil, codes.Unset},
		{"answered", followed, nil, codes.Unset},
		{"there is none", followed, redis.Nil, codes.Unset},
		{"failed", followed, errors.New("no answer"), codes.Error},
	} {
		before := len(spans.Ended())
		answer = c.answer
		command := redis.NewStringCmd(c.ctx, "get", "secret")
		if err := one(c.ctx, command); !errors.Is(err, c.answer) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := many(c.ctx, []redis.Cmder{command}); !errors.Is(err, c.answer) {
			t.Errorf("%s, several: %v", c.name, err)
		}
		ended := spans.Ended()[before:]
		if c.ctx != followed {
			if len(ended) != 0 {
				t.Errorf("%s: %d spans", c.name, len(ended))
			}
			continue
		}
		for i, operation := range []string{"get", "pipeline"} {
			s := ended[i]
			if s.Name() != "memgate.state" || s.Parent().SpanID() != check.SpanContext().SpanID() || s.Status().Code != c.status {
				t.Errorf("%s: %s below %s, %v", c.name, s.Name(), s.Parent().SpanID(), s.Status())
			}
			if a := s.Attributes(); len(a) != 2 || a[0].Value.AsString() != "redis" || a[1].Value.AsString() != operation {
				t.Errorf("%s: %v", c.name, a)
			}
		}
	}
}

type answers struct{ err error }

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: http.NoBody}, a.err
}

// Keys that are fetched for a check are in its trace, and others in their own.
func TestFetchSpans(t *testing.T) {
	tr, spans := recorded()
	followed, check := tr.tracer.Start(t.Context(), "check")
	for _, ctx := range []context.Context{t.Context(), followed} {
		for _, failure := range []error{nil, errors.New("no answer")} {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://idp.example.com/keys?secret", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.fetcher()(answers{failure}).RoundTrip(request); !errors.Is(err, failure) {
				t.Errorf("%v, want %v", err, failure)
			}
			ended := spans.Ended()
			s := ended[len(ended)-1]
			if own := !s.Parent().IsValid(); own != (ctx != followed) || !own && s.Parent().SpanID() != check.SpanContext().SpanID() {
				t.Errorf("below %s", s.Parent().SpanID())
			}
			if (s.Status().Code == codes.Error) != (failure != nil) || s.Attributes()[0].Value.AsString() != "idp.example.com" {
				t.Errorf("%v %v", s.Status(), s.Attributes())
			}
		}
	}
}
