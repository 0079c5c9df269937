package authz

import (
	"context"
	"fmt"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"
)

// The messages of a check are read and written here and not by the protobuf
// library, which spent more on them than the decision does. The library still
// reads what has another shape than Envoy's, and tests hold both to be equal.

// question is a CheckRequest that was read.
type question struct {
	Request
	http bool // whether it describes an HTTP request
}

func (q *question) read(message string) error {
	if readCheck(&q.Request, message) {
		q.http = true
		return nil
	}
	var m authv3.CheckRequest
	if err := protobuf.Unmarshal([]byte(message), &m); err != nil {
		return err
	}
	q.Request, q.http = *fromCheck(&m), m.GetAttributes().GetRequest().GetHttp() != nil
	return nil
}

// codec reads questions and logs and writes answers, and leaves all other messages to
// the protobuf library.
type codec struct{ encoding.CodecV2 }

// Codec is the option that a server needs for [Service.Register].
func Codec() grpc.ServerOption {
	return grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)})
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(interface{ read(message string) error })
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if len(data) == 1 {
		return m.read(string(data[0].ReadOnlyData()))
	}
	return m.read(string(data.Materialize()))
}

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	a, ok := v.(*answer)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	// NewBuffer gives the buffer back to the pool, but for a small one.
	size := a.size()
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(size)
	out, err := a.append((*buffer)[:0])
	if err == nil && len(out) != size {
		err = fmt.Errorf("authz: an answer of %d bytes has %d", size, len(out))
	}
	if err != nil {
		pool.Put(buffer)
		return nil, err
	}
	*buffer = out
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
}

// Register offers s as envoy.service.auth.v3.Authorization on a server that was
// made with [Codec].
func (s *Service) Register(server grpc.ServiceRegistrar) {
	server.RegisterService(&checks, s)
}

// checker is what a server with the service has.
type checker interface {
	check(context.Context, *question) (*answer, error)
}

// checks is authv3.Authorization_ServiceDesc with messages of our own.
var checks = grpc.ServiceDesc{
	ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
	HandlerType: (*checker)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Check", Handler: func(service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		q := new(question)
		if err := decode(q); err != nil {
			return nil, err
		}
		if interceptor == nil {
			return service.(checker).check(ctx, q)
		}
		info := &grpc.UnaryServerInfo{Server: service, FullMethod: authv3.Authorization_Check_FullMethodName}
		return interceptor(ctx, q, info, func(ctx context.Context, asked any) (any, error) {
			return service.(checker).check(ctx, asked.(*question))
		})
	}}},
	Metadata: authv3.Authorization_ServiceDesc.Metadata,
}
