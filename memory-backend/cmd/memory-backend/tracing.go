package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Bounds of the spans on their way to the collector.
const (
	maxSpans     = 2048            // that wait; more are dropped
	spanEvery    = time.Second     // at most, until what has gathered is sent
	spanTimeout  = 5 * time.Second // for one message, with all its tries
	spanShutdown = time.Second     // for what is left at the end
)

// tracing sends spans to a collector. A nil one makes none.
type tracing struct {
	provider *sdktrace.TracerProvider
	conn     *grpc.ClientConn
}

// newTracing returns nil without a collector. Nothing waits for one, which may come later or never.
func newTracing(collector string, log *slog.Logger, registry prometheus.Registerer) (*tracing, error) {
	if collector == "" {
		return nil, nil
	}
	at, err := url.Parse(collector)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || strings.Trim(at.Path, "/") != "" || at.User != nil {
		return nil, errors.New("--otlp must be http://HOST:PORT or https://HOST:PORT")
	}
	transport := insecure.NewCredentials()
	if at.Scheme == "https" {
		transport = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	conn, err := grpc.NewClient(at.Host, grpc.WithTransportCredentials(transport), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("--otlp: %w", err)
	}
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithGRPCConn(conn), otlptracegrpc.WithTimeout(spanTimeout))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--otlp: %w", err), conn.Close())
	}
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "memory_backend_trace_spans_total", Help: "Spans for the collector of traces, by outcome: sent, or lost as it did not take them.",
	}, []string{"outcome"})
	registry.MustRegister(spans)
	return &tracing{conn: conn, provider: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(counted{exporter, spans, log}, sdktrace.WithMaxQueueSize(maxSpans), sdktrace.WithBatchTimeout(spanEvery),
			sdktrace.WithExportTimeout(spanTimeout)),
		// The edge draws which requests are traced.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "memory-backend"))),
	)}, nil
}

// counted counts what becomes of spans.
type counted struct {
	sdktrace.SpanExporter
	spans *prometheus.CounterVec
	log   *slog.Logger
}

// ExportSpans implements [sdktrace.SpanExporter]. A failure is told here, and no more of it is anybody's business.
func (c counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := c.SpanExporter.ExportSpans(ctx, spans); err != nil {
		c.spans.WithLabelValues("lost").Add(float64(len(spans)))
		c.log.Warn("traces are lost", "spans", len(spans), "error", err.Error())
		return nil
	}
	c.spans.WithLabelValues("sent").Add(float64(len(spans)))
	return nil
}

// tracer returns what makes spans; nil for none.
func (t *tracing) tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/memgate/memgate/memory-backend")
}

// close sends what is left, for a while.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), spanShutdown)
	defer cancel()
	_ = t.provider.Shutdown(ctx)
	_ = t.conn.Close()
}
