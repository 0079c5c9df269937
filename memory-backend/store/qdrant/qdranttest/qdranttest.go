// Package qdranttest is a server for tests of what talks to Qdrant.
package qdranttest

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Server answers the requests of Qdrant's gRPC interface that the engine sends, from memory, and records them. It is
// strict: what the engine does not use is refused, not ignored. It shows that the engine is right if Qdrant does what
// its documentation says; that Qdrant does is for the suite against a real one to show.
type Server struct {
	qdrant.UnimplementedPointsServer

	mu sync.Mutex
	State
	of map[string]map[string]bool // ids by what their payload says they are of, as a real one has an index of that
}

// mostRequests is how many requests are kept.
const mostRequests = 1000

// State is what a Server holds and what it was asked.
type State struct {
	Made     *qdrant.CreateCollection
	Indexes  map[string]*qdrant.CreateFieldIndexCollection
	Points   map[string]*qdrant.PointStruct // by id
	Requests []proto.Message
	Keys     map[string]bool // api-keys that were sent
	Returned int             // points that were handed out by Scroll

	// Before is called with the name of each method that is called; an error that it returns is the answer.
	Before func(method string) error
	// After is called when a request was carried out; an error that it returns is the answer.
	After func(method string) error
}

// collections is the part of the interface that is about collections, whose methods have the same names.
type collections struct {
	qdrant.UnimplementedCollectionsServer
	*Server
}

func (c collections) Get(_ context.Context, r *qdrant.GetCollectionInfoRequest) (*qdrant.GetCollectionInfoResponse, error) {
	if c.Made.GetCollectionName() != r.CollectionName {
		return nil, status.Error(codes.NotFound, "no such collection")
	}
	schema := make(map[string]*qdrant.PayloadSchemaInfo)
	for field := range c.Indexes {
		schema[field] = new(qdrant.PayloadSchemaInfo)
	}
	return &qdrant.GetCollectionInfoResponse{Result: &qdrant.CollectionInfo{PayloadSchema: schema, Config: &qdrant.CollectionConfig{
		Params: &qdrant.CollectionParams{VectorsConfig: c.Made.VectorsConfig, SparseVectorsConfig: c.Made.SparseVectorsConfig}}}}, nil
}

// dimensions returns the length of the dense vectors of a name; 0 when there are none.
func (s *Server) dimensions(name string) int {
	return int(s.Made.GetVectorsConfig().GetParamsMap().GetMap()[name].GetSize())
}

func (c collections) Delete(ctx context.Context, r *qdrant.DeleteCollection) (*qdrant.CollectionOperationResponse, error) {
	return c.UnimplementedCollectionsServer.Delete(ctx, r)
}

// Serve starts a server on loopback and returns it and its port.
func Serve(t testing.TB, options ...grpc.ServerOption) (*Server, int) {
	t.Helper()
	s := &Server{of: make(map[string]map[string]bool), State: State{Indexes: make(map[string]*qdrant.CreateFieldIndexCollection), Points: make(map[string]*qdrant.PointStruct), Keys: make(map[string]bool)}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, grpc.MaxRecvMsgSize(64<<20), grpc.UnaryInterceptor(s.intercept))
	g := grpc.NewServer(options...)
	qdrant.RegisterPointsServer(g, s)
	qdrant.RegisterCollectionsServer(g, collections{Server: s})
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	return s, listener.Addr().(*net.TCPAddr).Port
}

func (s *Server) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	method := info.FullMethod[strings.LastIndexByte(info.FullMethod, '/')+1:]
	if f := s.fault(func() func(string) error { return s.Before }); f != nil {
		if err := f(method); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	md, _ := metadata.FromIncomingContext(ctx)
	s.Keys[strings.Join(md.Get("api-key"), ",")] = true
	if len(s.Requests) < mostRequests {
		s.Requests = append(s.Requests, request.(proto.Message))
	}
	answer, err := handle(ctx, request)
	s.mu.Unlock()
	if f := s.fault(func() func(string) error { return s.After }); f != nil && err == nil {
		if err := f(method); err != nil {
			return nil, err
		}
	}
	return answer, err
}

func (s *Server) fault(get func() func(string) error) func(string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return get()
}

// With lets do look at the state or change it, between two requests.
func (s *Server) With(do func(s *State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(&s.State)
}

func (c collections) CollectionExists(_ context.Context, r *qdrant.CollectionExistsRequest) (*qdrant.CollectionExistsResponse, error) {
	return &qdrant.CollectionExistsResponse{Result: &qdrant.CollectionExists{Exists: c.Made.GetCollectionName() == r.CollectionName}}, nil
}

func (c collections) Create(_ context.Context, r *qdrant.CreateCollection) (*qdrant.CollectionOperationResponse, error) {
	if c.Made != nil {
		return nil, status.Error(codes.AlreadyExists, "it exists")
	}
	c.Made = r
	return &qdrant.CollectionOperationResponse{Result: true}, nil
}

func done() *qdrant.PointsOperationResponse {
	return &qdrant.PointsOperationResponse{Result: &qdrant.UpdateResult{Status: qdrant.UpdateStatus_Completed}}
}

// CreateFieldIndex notes an index.
func (s *Server) CreateFieldIndex(_ context.Context, r *qdrant.CreateFieldIndexCollection) (*qdrant.PointsOperationResponse, error) {
	s.Indexes[r.FieldName] = r
	return done(), nil
}

// Upsert puts points in the place of those with the same ids.
func (s *Server) Upsert(_ context.Context, r *qdrant.UpsertPoints) (*qdrant.PointsOperationResponse, error) {
	if !r.GetWait() || s.Made.GetCollectionName() != r.CollectionName {
		return nil, status.Error(codes.InvalidArgument, "no wait, or no collection")
	}
	for _, p := range r.Points {
		for name, v := range p.Vectors.GetVectors().GetVectors() {
			if dense := v.GetDense(); dense != nil {
				if n := s.dimensions(name); n == 0 || len(dense.Data) != n {
					return nil, status.Errorf(codes.InvalidArgument, "vector %s of %d numbers", name, len(dense.Data))
				}
				continue
			}
			sparse := v.GetSparse()
			if _, ok := s.Made.SparseVectorsConfig.Map[name]; !ok || sparse == nil || len(sparse.Indices) != len(sparse.Values) ||
				len(slices.Compact(slices.Sorted(slices.Values(sparse.Indices)))) != len(sparse.Indices) {
				return nil, status.Errorf(codes.InvalidArgument, "vector %s", name)
			}
		}
	}
	for _, p := range r.Points {
		id := p.GetId().GetUuid()
		switch old := s.Points[id]; {
		case old == nil && r.GetUpdateMode() == qdrant.UpdateMode_UpdateOnly, old != nil && r.GetUpdateMode() == qdrant.UpdateMode_InsertOnly:
			continue
		case old != nil && r.UpdateFilter != nil:
			if ok, err := meets(old, r.UpdateFilter); err != nil || !ok {
				continue
			}
		}
		s.Points[id] = p
		if of := p.Payload["of"].GetStringValue(); of != "" {
			if s.of[of] == nil {
				s.of[of] = make(map[string]bool)
			}
			s.of[of][id] = true
		}
	}
	return done(), nil
}

// UpdateBatch sets members of the payloads of points.
func (s *Server) UpdateBatch(_ context.Context, r *qdrant.UpdateBatchPoints) (*qdrant.UpdateBatchResponse, error) {
	answer := new(qdrant.UpdateBatchResponse)
	for _, o := range r.Operations {
		set := o.GetSetPayload()
		if set == nil || !r.GetWait() {
			return nil, status.Error(codes.InvalidArgument, "no wait, or another operation")
		}
		for _, id := range set.PointsSelector.GetPoints().GetIds() {
			if p := s.Points[id.GetUuid()]; p != nil {
				p = proto.CloneOf(p)
				maps.Copy(p.Payload, set.Payload)
				s.Points[id.GetUuid()] = p
			}
		}
		answer.Result = append(answer.Result, done().Result)
	}
	return answer, nil
}

// Delete deletes the points that a filter selects.
func (s *Server) Delete(_ context.Context, r *qdrant.DeletePoints) (*qdrant.PointsOperationResponse, error) {
	found, err := s.matching(r.Points.GetFilter())
	for _, p := range found {
		delete(s.Points, p.GetId().GetUuid())
	}
	return done(), err
}

// Get returns points by their ids.
func (s *Server) Get(_ context.Context, r *qdrant.GetPoints) (*qdrant.GetResponse, error) {
	answer := new(qdrant.GetResponse)
	for _, id := range r.Ids {
		if p := s.Points[id.GetUuid()]; p != nil {
			found := &qdrant.RetrievedPoint{Id: p.Id, Payload: p.Payload}
			for _, name := range r.GetWithVectors().GetInclude().GetNames() {
				if v := p.Vectors.GetVectors().GetVectors()[name].GetDense(); v != nil {
					found.Vectors = &qdrant.VectorsOutput{VectorsOptions: &qdrant.VectorsOutput_Vectors{Vectors: &qdrant.NamedVectorsOutput{
						Vectors: map[string]*qdrant.VectorOutput{name: {Vector: &qdrant.VectorOutput_Dense{Dense: v}}}}}}
				}
			}
			answer.Result = append(answer.Result, found)
		}
	}
	return answer, nil
}

// Count counts the points that a filter selects.
func (s *Server) Count(_ context.Context, r *qdrant.CountPoints) (*qdrant.CountResponse, error) {
	found, err := s.matching(r.Filter)
	return &qdrant.CountResponse{Result: &qdrant.CountResult{Count: uint64(len(found))}}, err
}

// Scroll returns points by id, or in an order.
func (s *Server) Scroll(_ context.Context, r *qdrant.ScrollPoints) (*qdrant.ScrollResponse, error) {
	found, err := s.matching(r.Filter)
	if err != nil {
		return nil, err
	}
	if by := r.OrderBy; by != nil {
		if s.Indexes[by.Key].GetFieldType() != qdrant.FieldType_FieldTypeInteger {
			return nil, status.Errorf(codes.InvalidArgument, "no index of %s", by.Key)
		}
		found = slices.DeleteFunc(found, func(p *qdrant.PointStruct) bool { return p.Payload[by.Key] == nil })
		slices.SortFunc(found, func(a, b *qdrant.PointStruct) int {
			order := cmp.Compare(a.Payload[by.Key].GetIntegerValue(), b.Payload[by.Key].GetIntegerValue())
			if by.GetDirection() == qdrant.Direction_Desc {
				order = -order
			}
			return order
		})
	}
	answer := new(qdrant.ScrollResponse)
	for _, p := range found {
		if r.Offset != nil && p.GetId().GetUuid() < r.Offset.GetUuid() {
			continue
		}
		if len(answer.Result) == int(r.GetLimit()) {
			if r.OrderBy == nil {
				answer.NextPageOffset = p.Id
			}
			break
		}
		answer.Result = append(answer.Result, &qdrant.RetrievedPoint{Id: p.Id, Payload: p.Payload})
	}
	s.Returned += len(answer.Result)
	return answer, nil
}

// matching returns the points that a filter selects, by id.
func (s *Server) matching(f *qdrant.Filter) ([]*qdrant.PointStruct, error) {
	if f == nil || f.Must[0].GetField().GetKey() != "tenant" {
		return nil, status.Error(codes.InvalidArgument, "a request that is not confined to a tenant")
	}
	var found []*qdrant.PointStruct
	look := func(p *qdrant.PointStruct) error {
		ok, err := meets(p, f)
		if ok {
			found = append(found, p)
		}
		return err
	}
	for _, c := range f.Must {
		if c.GetField().GetKey() != "of" {
			continue
		}
		for id := range s.of[c.GetField().GetMatch().GetKeyword()] {
			if p := s.Points[id]; p != nil {
				if err := look(p); err != nil {
					return nil, err
				}
			}
		}
		slices.SortFunc(found, byID)
		return found, nil
	}
	for _, p := range s.Points {
		if err := look(p); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, byID)
	return found, nil
}

func byID(a, b *qdrant.PointStruct) int {
	return strings.Compare(a.GetId().GetUuid(), b.GetId().GetUuid())
}

// meets reports whether a point meets a filter: all of must, one of should where there are any, none of must_not.
func meets(p *qdrant.PointStruct, f *qdrant.Filter) (bool, error) {
	one := len(f.Should) == 0
	for i, list := range [][]*qdrant.Condition{f.Must, f.Should, f.MustNot} {
		for _, c := range list {
			ok, err := meetsCondition(p, c)
			switch {
			case err != nil:
				return false, err
			case i == 0 && !ok, i == 2 && ok:
				return false, nil
			case i == 1 && ok:
				one = true
			}
		}
	}
	return one, nil
}

func meetsCondition(p *qdrant.PointStruct, c *qdrant.Condition) (bool, error) {
	if f := c.GetFilter(); f != nil {
		return meets(p, f)
	}
	if ids := c.GetHasId(); ids != nil {
		return slices.ContainsFunc(ids.HasId, func(id *qdrant.PointId) bool { return id.GetUuid() == p.GetId().GetUuid() }), nil
	}
	if e := c.GetIsEmpty(); e != nil {
		v := p.Payload[e.Key]
		return v == nil || v.GetListValue() != nil && len(v.GetListValue().Values) == 0, nil
	}
	field := c.GetField()
	if field == nil {
		return false, status.Errorf(codes.InvalidArgument, "condition %v", c)
	}
	value := p.Payload[field.Key]
	if r := field.Range; r != nil {
		if value == nil {
			return false, nil
		}
		n := float64(value.GetIntegerValue())
		return (r.Gt == nil || n > *r.Gt) && (r.Gte == nil || n >= *r.Gte) && (r.Lt == nil || n < *r.Lt) && (r.Lte == nil || n <= *r.Lte), nil
	}
	words := field.GetMatch().GetKeywords().GetStrings()
	if field.GetMatch().GetKeywords() == nil {
		words = []string{field.GetMatch().GetKeyword()}
	}
	values := []*qdrant.Value{value}
	if l := value.GetListValue(); l != nil {
		values = l.Values
	}
	for _, v := range values {
		if v != nil && slices.Contains(words, v.GetStringValue()) {
			return true, nil
		}
	}
	return false, nil
}
