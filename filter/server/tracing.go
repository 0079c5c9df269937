package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcmeta "google.golang.org/grpc/metadata"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/policy"
)

// Bounds of the spans on their way to the collector.
const (
	maxSpans     = 2048            // that wait or are being sent; more are dropped
	spanBatch    = 256             // in one message
	spanEvery    = time.Second     // at most, until what has gathered is sent
	spanTimeout  = 5 * time.Second // for one message, with all its tries
	spanShutdown = time.Second     // for what is left at the end
)

// tracing makes spans of what Envoy traces. A nil one makes none.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	export   *spanExport
	conn     *grpc.ClientConn
}

var _ authz.Tracer = (*tracing)(nil)

// newTracing returns nil for a policy without tracing. Nothing waits for the
// collector, which may come later or never. own may be nil.
func newTracing(p *policy.Policy, version string, own *certificates, log *slog.Logger, registry prometheus.Registerer) (*tracing, error) {
	section := p.Tracing
	if section == nil {
		return nil, nil
	}
	transport, err := collectorTLS(p, own)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(section.OTLP, grpc.WithTransportCredentials(transport), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("tracing.otlp: %w", err)
	}
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithGRPCConn(conn), otlptracegrpc.WithTimeout(spanTimeout))
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("tracing: %w", err)
	}
	t := &tracing{conn: conn, export: newSpanExport(exporter, log)}
	registry.MustRegister(t.export.sent, t.export.dropped)
	t.export.SpanProcessor = sdktrace.NewBatchSpanProcessor(spanSender{t.export},
		// As many as the gate lets in, so that this queue drops none uncounted.
		sdktrace.WithMaxQueueSize(maxSpans), sdktrace.WithMaxExportBatchSize(spanBatch),
		sdktrace.WithBatchTimeout(spanEvery), sdktrace.WithExportTimeout(spanTimeout))
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(t.export),
		// Envoy draws which requests are traced. What has no request is rare.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", section.Service), attribute.String("service.version", version))),
	)
	t.tracer = t.provider.Tracer("github.com/memgate/memgate")
	return t, nil
}

// collectorTLS is how memgate speaks to the collector.
func collectorTLS(p *policy.Policy, own *certificates) (credentials.TransportCredentials, error) {
	t := p.Tracing.TLS
	if t == nil {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if path := strings.TrimPrefix(string(t.CA), "file:"); path != "" {
		pem, err := readPEM(p.Path(path))
		if err != nil {
			return nil, fmt.Errorf("tracing.tls.ca: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tracing.tls.ca: %s holds no certificate", path)
		}
	}
	if own != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, _ := own.current()
			return pair, nil
		}
	}
	return credentials.NewTLS(config), nil
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

// callMetadata is the metadata of a call as a [propagation.TextMapCarrier].
type callMetadata struct{ grpcmeta.MD }

func (m callMetadata) Get(key string) string {
	if v := m.MD.Get(key); len(v) == 1 {
		return v[0]
	}
	return ""
}

func (m callMetadata) Set(string, string) {}

func (m callMetadata) Keys() []string { return nil } // not asked for

// Begin implements [authz.Tracer]. The parent is the span of Envoy's call, which
// Envoy names in the call's metadata. The headers of the request that is decided
// have no say: they are the client's.
func (t *tracing) Begin(ctx context.Context) (context.Context, authz.Traced) {
	parent := grpcmeta.ValueFromIncomingContext(ctx, "traceparent")
	if len(parent) != 1 || !sampled(parent[0]) {
		return ctx, nil
	}
	md, _ := grpcmeta.FromIncomingContext(ctx)
	remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, callMetadata{md}))
	if !remote.IsSampled() {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, remote), "memgate.check", trace.WithSpanKind(trace.SpanKindServer))
	return ctx, checkSpan{span}
}

// sampled reports whether a traceparent (W3C Trace Context, section 3.2) has the
// flag, so that one without costs no more than this look.
func sampled(parent string) bool {
	return len(parent) >= 55 && strings.IndexByte("13579bdf", parent[54]) >= 0
}

type checkSpan struct{ trace.Span }

// End implements [authz.Traced]. It tells what the metrics have as labels, and
// nothing of who asked for what.
func (s checkSpan) End(d *authz.Decision) {
	decision := "deny"
	if d.Allowed {
		decision = "allow"
	}
	s.SetAttributes(
		attribute.String("memgate.decision", decision), attribute.String("memgate.stage", string(d.Stage)),
		attribute.String("memgate.reason", string(d.Reason)), attribute.String("memgate.route", d.Route))
	if d.Status >= 500 {
		s.SetStatus(codes.Error, string(d.Reason))
	}
	s.Span.End()
}

// spanExport is the gate in front of the queue of spans: it lets in no more than
// are to wait, and counts.
type spanExport struct {
	sdktrace.SpanProcessor // the queue
	to                     sdktrace.SpanExporter
	log                    *slog.Logger
	waiting                atomic.Int64
	down                   atomic.Bool // whether the last message failed
	sent, dropped          prometheus.Counter
}

func newSpanExport(to sdktrace.SpanExporter, log *slog.Logger) *spanExport {
	return &spanExport{
		to: to, log: log,
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memgate_trace_spans_sent_total",
			Help: "Spans that the collector of traces took.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "memgate_trace_spans_dropped_total",
			Help: "Spans that were lost, because the collector of traces did not take them or too many waited for it.",
		}),
	}
}

// OnEnd implements [sdktrace.SpanProcessor]. It never waits.
func (e *spanExport) OnEnd(s sdktrace.ReadOnlySpan) {
	if e.waiting.Add(1) > maxSpans {
		e.waiting.Add(-1)
		e.dropped.Inc()
		return
	}
	e.SpanProcessor.OnEnd(s)
}

// spanSender is the other end of the queue.
type spanSender struct{ e *spanExport }

// ExportSpans implements [sdktrace.SpanExporter]. What fails is counted and not
// an error: the library would write it past the log.
func (s spanSender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e, n := s.e, len(spans)
	err := e.to.ExportSpans(ctx, spans)
	e.waiting.Add(-int64(n))
	if err != nil {
		e.dropped.Add(float64(n))
	} else {
		e.sent.Add(float64(n))
	}
	if down := err != nil; e.down.Swap(down) != down {
		if down {
			e.log.Warn("the collector of traces takes no spans; they are dropped", "error", err)
		} else {
			e.log.Info("the collector of traces takes spans again")
		}
	}
	return nil
}

// Shutdown implements [sdktrace.SpanExporter].
func (s spanSender) Shutdown(ctx context.Context) error { return s.e.to.Shutdown(ctx) }
