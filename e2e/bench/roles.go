package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"

	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"
)

// roleFlag makes the program one of the processes that are measured.
const roleFlag = "-role"

// serveRole is the service that does nothing, or the service behind the edge.
func serveRole(args []string) {
	var err error
	switch role := args[0]; role {
	case "nothing":
		err = serveNothing(args[1], args[2])
	case "upstream":
		err = http.ListenAndServe(args[1], http.HandlerFunc(upstream))
	default:
		err = fmt.Errorf("no role %q", role)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// nothing allows everything at once, and takes logs without reading them: the
// price of asking and telling alone.
type nothing struct {
	authv3.UnimplementedAuthorizationServer
	alsv3.UnimplementedAccessLogServiceServer
}

func (nothing) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}}}, nil
}

func (nothing) StreamAccessLogs(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	var entries emptypb.Empty // whose fields are all unknown to it
	for {
		if err := stream.RecvMsg(&entries); err != nil {
			return err
		}
	}
}

func serveNothing(address, metrics string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, nothing{})
	alsv3.RegisterAccessLogServiceServer(server, nothing{})
	healthv1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	return http.ListenAndServe(metrics, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(w, "%s %d\n", mallocs, m.Mallocs)
	}))
}

// upstream answers each request with a memory of 1 KB.
func upstream(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, remembered)
}

// remembered is 1 KB of prose in JSON, as it comes and as it goes.
const remembered = `{"content":"The caller prefers short answers and wants each of them to name its source. ` +
	`In the meeting of last week the team agreed to move the nightly import to the early morning, since the reports were late three times in a row. ` +
	`Whoever changes the import has to tell the people who read the reports, and writes down what was changed and why. ` +
	`The old import stays in place for two more weeks, so that the results of both can be compared line by line. ` +
	`If they differ, the older one counts, and the difference is looked into on the same day. ` +
	`The caller also asked not to be reminded of the weekly review on Mondays, as it was moved to the afternoon of every second Thursday. ` +
	`Plans for the next quarter are kept in the shared folder, sorted by the name of the project, and are read by everybody in the team. ` +
	`Nothing of this is secret, but none of it should leave the company without a word to the one who wrote it.",` +
	`"type":"fact","confidence":0.8,"tags":["import","reports","review"],"metadata":{"origin":"conversation","turn":17}}`
