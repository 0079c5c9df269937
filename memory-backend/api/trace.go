package api

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// span begins the span of a request that the edge traces: one whose traceparent (W3C Trace Context, section 3.2) is
// sampled. It is nil for all others, so that nobody but the edge decides what is traced. It tells the route and the
// status, and nothing of who asked for what.
func (s *Server) span(ctx context.Context, r *http.Request, pattern string) (context.Context, trace.Span) {
	if s.Tracer == nil || len(r.Header.Values("Traceparent")) != 1 {
		return ctx, nil
	}
	remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header)))
	if !remote.IsSampled() {
		return ctx, nil
	}
	if pattern == "" {
		pattern = "none"
	}
	pattern = strings.TrimSuffix(pattern, "{$}")
	return s.Tracer.Start(trace.ContextWithRemoteSpanContext(ctx, remote), pattern, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.route", pattern)))
}

// endSpan ends the span of a request; nil for none.
func endSpan(span trace.Span, status int) {
	if span == nil {
		return
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= 500 {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}

// toolSpan begins the span of a tool within that of its request, if that is traced, and returns what ends it.
func (s *Server) toolSpan(ctx context.Context, name string) (context.Context, func(outcome string)) {
	if s.Tracer == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, func(string) {}
	}
	ctx, span := s.Tracer.Start(ctx, "tool "+name)
	return ctx, func(outcome string) {
		span.SetAttributes(attribute.String("outcome", outcome))
		if outcome == "internal" {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}
