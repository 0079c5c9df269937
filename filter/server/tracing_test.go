package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	grpcmeta "google.golang.org/grpc/metadata"

	"github.com/memgate/memgate/filter/policy"
)

// stuck is a collector that takes nothing until it is let go, and then fails.
type stuck struct{ release chan struct{} }

func (s stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-s.release
	return errors.New("no")
}

func (stuck) Shutdown(context.Context) error { return nil }

func count(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// However many spans end while the collector takes none, no more wait than are
// to, nobody waits for them, and each that is lost is counted once.
func TestSpansAreBounded(t *testing.T) {
	release := make(chan struct{})
	e := newSpanExport(stuck{release}, slog.New(slog.DiscardHandler))
	queue := sdktrace.NewBatchSpanProcessor(spanSender{e}, sdktrace.WithMaxQueueSize(maxSpans), sdktrace.WithMaxExportBatchSize(spanBatch))
	e.SpanProcessor = queue
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(e))
	tracer := provider.Tracer("test")
	const all = maxSpans + 500
	for range all {
		_, span := tracer.Start(context.Background(), "s")
		span.End()
	}
	if lost := count(t, e.dropped); lost != 500 {
		t.Errorf("%v were dropped, want 500", lost)
	}
	close(release)
	if err := provider.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if lost, sent := count(t, e.dropped), count(t, e.sent); lost != all || sent != 0 {
		t.Errorf("%v were dropped and %v sent, want all and none", lost, sent)
	}
}

func TestBegin(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tr := &tracing{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")}
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, c := range []struct {
		header string
		traced bool
	}{
		{"00-" + id + "-" + parent + "-01", true},
		{"00-" + id + "-" + parent + "-03", true},
		{"00-" + id + "-" + parent + "-00", false},
		{"00-" + id + "-" + parent + "-02", false},
		{"00-00000000000000000000000000000000-" + parent + "-01", false},
		{"00-" + id + "-0000000000000000-01", false},
		{"00-" + id + "-" + parent, false},
		{"ff-" + id + "-" + parent + "-01", false},
		{"", false},
	} {
		ctx := grpcmeta.NewIncomingContext(context.Background(), grpcmeta.Pairs("traceparent", c.header))
		_, followed := tr.Begin(ctx)
		if (followed != nil) != c.traced {
			t.Errorf("%q: traced is %v", c.header, followed != nil)
		}
	}
	if _, followed := tr.Begin(context.Background()); followed != nil {
		t.Error("a call without metadata is traced")
	}
	for _, s := range spans.Started() {
		if s.SpanContext().TraceID().String() != id || s.Parent().SpanID().String() != parent {
			t.Errorf("a span of another trace: %v", s.SpanContext())
		}
	}
	if len(spans.Started()) != 2 {
		t.Errorf("%d spans", len(spans.Started()))
	}
}

func TestNoTracing(t *testing.T) {
	registry := prometheus.NewRegistry()
	tr, err := newTracing(new(policy.Policy), "v", nil, slog.New(slog.DiscardHandler), registry)
	if err != nil || tr != nil {
		t.Fatalf("%v %v", tr, err)
	}
	tr.close()
	if tr.redis("s") != nil || tr.fetcher() != nil {
		t.Error("something is traced")
	}
}
