package authz

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/memgate/memgate/filter/audit"
)

// logStream is a stream of entries that Envoy never ends by itself.
type logStream struct {
	alsv3.AccessLogService_StreamAccessLogsServer
	messages chan *alsv3.StreamAccessLogsMessage
	closed   chan struct{}
}

func (s *logStream) RecvMsg(into any) error {
	m, ok := <-s.messages
	if !ok {
		return context.Canceled
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return into.(*logBatch).read(string(wire))
}

func (s *logStream) SendAndClose(*alsv3.StreamAccessLogsResponse) error {
	close(s.closed)
	close(s.messages) // as the server does when the handler returns
	return nil
}

// A stream that Envoy keeps open ends when memgate does, and no entry that came
// before is lost.
func TestAccessLogEnds(t *testing.T) {
	written := make(chan string, 8)
	log := NewAccessLog(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), func(e *audit.Event) error {
		written <- e.RequestID
		return nil
	}, func(string, string) {})
	stream := &logStream{messages: make(chan *alsv3.StreamAccessLogsMessage), closed: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- log.StreamAccessLogs(stream) }()
	send := func(id string) {
		stream.messages <- &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdata.HTTPAccessLogEntry{{
				Request: &accesslogdata.HTTPRequestProperties{RequestId: id}}}}}}
	}
	send("first")
	go log.End(t.Context(), 10*time.Millisecond)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	<-stream.closed
	log.Wait()
	if got := <-written; got != "first" || len(written) != 0 {
		t.Errorf("written: %s and %d more", got, len(written))
	}
}

// While entries keep coming, the end waits for the context.
func TestAccessLogEndIsBounded(t *testing.T) {
	log := NewAccessLog(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), func(*audit.Event) error { return nil }, func(string, string) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log.End(ctx, time.Hour)
	stream := &logStream{messages: make(chan *alsv3.StreamAccessLogsMessage), closed: make(chan struct{})}
	if err := log.StreamAccessLogs(stream); err != nil && err != io.EOF {
		t.Error(err)
	}
	log.Wait()
}
