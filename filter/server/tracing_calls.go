package server

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Spans of what memgate asks others for a check that is followed.

// redis returns what makes spans, all of one name, of what a Redis is asked for checks that
// are followed. What is asked in the background has none. It is nil without tracing.
func (t *tracing) redis(span string) redis.Hook {
	if t == nil {
		return nil
	}
	return tracedRedis{t.tracer, span}
}

type tracedRedis struct {
	tracer trace.Tracer
	span   string
}

// DialHook implements [redis.Hook].
func (h tracedRedis) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

// ProcessHook implements [redis.Hook].
func (h tracedRedis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		return h.follow(ctx, command.Name(), func(ctx context.Context) error { return next(ctx, command) })
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (h tracedRedis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		return h.follow(ctx, "pipeline", func(ctx context.Context) error { return next(ctx, commands) })
	}
}

// follow tells of the command's name alone: its words can be anybody's.
func (h tracedRedis) follow(ctx context.Context, operation string, ask func(context.Context) error) error {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ask(ctx)
	}
	ctx, span := h.tracer.Start(ctx, h.span, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", operation)))
	defer span.End()
	err := ask(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		span.SetStatus(codes.Error, "no answer, or an error")
	}
	return err
}

// fetcher makes spans of the fetching of keys: below the check that began it, where there is
// one and it is followed, else in a trace of its own. t may be nil.
func (t *tracing) fetcher() func(http.RoundTripper) http.RoundTripper {
	if t == nil {
		return nil
	}
	return func(base http.RoundTripper) http.RoundTripper { return tracedFetch{base, t.tracer} }
}

type tracedFetch struct {
	http.RoundTripper
	tracer trace.Tracer
}

// RoundTrip implements [http.RoundTripper]. The span is that of the answer's head.
func (f tracedFetch) RoundTrip(r *http.Request) (*http.Response, error) {
	_, span := f.tracer.Start(r.Context(), "memgate.keys", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("server.address", r.URL.Hostname())))
	defer span.End()
	res, err := f.RoundTripper.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
	return res, nil
}
