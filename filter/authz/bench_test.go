package authz

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// nothing allows everything at once: the price of the gRPC hop alone.
type nothing struct {
	authv3.UnimplementedAuthorizationServer
}

func (nothing) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}}}, nil
}

// BenchmarkCheck measures one Check over gRPC on loopback, and prints beside
// memgate's time, the median, its ratio to that of a service that does nothing
// ("×nothing").
//
//	go test -run '^$' -bench Check -count 6 ./filter/authz | benchstat -
func BenchmarkCheck(b *testing.B) {
	f := newFixture(b, testPolicyUnlimited)
	f.now = time.Now()
	service := NewService(slog.New(slog.NewTextHandler(io.Discard, nil)), NewMetrics(prometheus.NewRegistry()), time.Now)
	service.Use(f.chain)
	ours := dial(b, service.Register, Codec())
	peer := dial(b, func(s grpc.ServiceRegistrar) { authv3.RegisterAuthorizationServer(s, nothing{}) })
	for name, header := range map[string]string{
		"cached token":  "Bearer " + f.token(b, "memory:write"),
		"no credential": "",
	} {
		check := checkOf(header)
		b.Run(name, func(b *testing.B) {
			// The two take turns, so that both see the same machine.
			var mine, theirs []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := peer.Check(context.Background(), check); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				if _, err := ours.Check(context.Background(), check); err != nil {
					b.Fatal(err)
				}
				mine = append(mine, time.Since(middle))
				theirs = append(theirs, middle.Sub(start))
			}
			slices.Sort(mine)
			slices.Sort(theirs)
			m, n := float64(mine[len(mine)/2]), float64(theirs[len(theirs)/2])
			b.ReportMetric(m, "ns/check")
			b.ReportMetric(n, "ns/nothing")
			b.ReportMetric(m/n, "×nothing")
		})
	}
	// All that the service itself does for a check: read, decide, write.
	b.Run("service alone", func(b *testing.B) {
		wire := string(marshal(b, checkOf("Bearer "+f.token(b, "memory:write"))))
		b.ReportAllocs()
		for b.Loop() {
			q := new(question)
			if err := q.read(wire); err != nil {
				b.Fatal(err)
			}
			a, err := service.check(context.Background(), q)
			if err != nil || !a.Allowed {
				b.Fatal(err)
			}
			data, err := codec{}.Marshal(a)
			if err != nil {
				b.Fatal(err)
			}
			data.Free()
		}
	})
}

func dial(b *testing.B, register func(grpc.ServiceRegistrar), options ...grpc.ServerOption) authv3.AuthorizationClient {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(options...)
	register(server)
	go func() { _ = server.Serve(l) }()
	b.Cleanup(server.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return authv3.NewAuthorizationClient(conn)
}

// checkOf is what Envoy sends for a request of a browser's size.
func checkOf(authorization string) *authv3.CheckRequest {
	var list []*corev3.HeaderValue
	for _, h := range [][2]string{
		{":authority", "edge.example.com"}, {":path", "/agents/helper/remember"}, {":method", "POST"}, {":scheme", "https"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}, {"accept", "application/json"},
		{"accept-language", "en"}, {"content-type", "application/json"}, {"content-length", "512"},
		{"origin", "https://app.example.com"}, {"x-request-id", "6a5d4c3b-0000-4000-8000-000000000000"},
		{"x-forwarded-for", "203.0.113.9"}, {"x-forwarded-proto", "https"}, {"authorization", authorization},
	} {
		if h[1] != "" {
			list = append(list, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
		}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: "POST", Path: "/agents/helper/remember", Host: "edge.example.com", Protocol: "HTTP/1.1",
			HeaderMap: &corev3.HeaderMap{Headers: list},
		},
	}}}
}
