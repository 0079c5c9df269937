package harness

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
)

// Check decides one request. It may wait until ctx ends.
type Check func(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error)

// FakeMemgate stands for memgate in suites about the Wasm filter and Envoy
// alone: an authz service that does what the suite says, an access log receiver
// that keeps all entries, and an HTTP port.
type FakeMemgate struct {
	authv3.UnimplementedAuthorizationServer
	alsv3.UnimplementedAccessLogServiceServer

	GRPC string // host:port
	HTTP string // host:port

	check   atomic.Pointer[Check]
	handler atomic.Pointer[http.Handler]

	mu      sync.Mutex
	entries map[string]*accesslogdata.HTTPAccessLogEntry // by request id
	forget  bool                                         // keep no more
}

// StartFakeMemgate runs until the test ends. It denies everything and serves
// nothing until it is told otherwise.
func StartFakeMemgate(t T) *FakeMemgate {
	t.Helper()
	f := &FakeMemgate{entries: make(map[string]*accesslogdata.HTTPAccessLogEntry)}
	f.SetCheck(func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return nil, errors.New("no check is set")
	})
	f.SetHandler(http.NotFoundHandler())

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	f.GRPC = l.Addr().String()
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, f)
	alsv3.RegisterAccessLogServiceServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)

	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*f.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	f.HTTP = web.Listener.Addr().String()
	return f
}

// SetCheck replaces the decision.
func (f *FakeMemgate) SetCheck(c Check) { f.check.Store(&c) }

// SetHandler replaces what the HTTP port serves.
func (f *FakeMemgate) SetHandler(h http.Handler) { f.handler.Store(&h) }

// Check implements Envoy's Authorization service.
func (f *FakeMemgate) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return (*f.check.Load())(ctx, r)
}

// StreamAccessLogs implements Envoy's AccessLogService.
func (f *FakeMemgate) StreamAccessLogs(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f.mu.Lock()
		for _, e := range message.GetHttpLogs().GetLogEntry() {
			if f.forget {
				break
			}
			f.entries[e.GetRequest().GetRequestId()] = e
		}
		f.mu.Unlock()
	}
}

// Entry waits for the access log's entry of a request.
func (f *FakeMemgate) Entry(t T, requestID string) *accesslogdata.HTTPAccessLogEntry {
	t.Helper()
	var found *accesslogdata.HTTPAccessLogEntry
	Eventually(t, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if found = f.entries[requestID]; found == nil {
			return errors.New("no entry for request " + requestID)
		}
		return nil
	})
	return found
}
