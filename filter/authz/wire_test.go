package authz

import (
	"context"
	"reflect"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/verdict"
)

// Check is a check as Envoy makes it: by messages on the wire.
func (s *Service) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	wire, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	var c codec
	q := new(question)
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, q); err != nil {
		return nil, err
	}
	a, err := s.check(ctx, q)
	if err != nil {
		return nil, err
	}
	data, err := c.Marshal(a)
	if err != nil {
		return nil, err
	}
	out := new(authv3.CheckResponse)
	return out, proto.Unmarshal(data.Materialize(), out)
}

// metadata is what [answer] writes as the dynamic metadata.
func (d *Decision) metadata(requestID string) *structpb.Struct {
	out := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for _, m := range d.appendMetadata(nil, requestID) {
		out.Fields[m.name] = structpb.NewStringValue(m.value)
	}
	return out
}

// logged is what an answer tells the access log.
func logged(t *testing.T, r *authv3.CheckResponse) verdict.Log {
	t.Helper()
	said, ok := verdict.ParseLog(text(r.GetDynamicMetadata().GetFields(), metaLog))
	if !ok {
		t.Errorf("the log is told %v", r.GetDynamicMetadata())
	}
	return said
}

// toCheck is the message that [answer] writes, made by the protobuf library.
func (d *Decision) toCheck(requestID string) *authv3.CheckResponse {
	if !d.Allowed {
		return d.denied(requestID)
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(codes.OK)},
		DynamicMetadata: d.metadata(requestID),
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers:              overwrite(d.Upstream),
			HeadersToRemove:      d.Remove,
			ResponseHeadersToAdd: overwrite(d.Response),
		}},
	}
}

func (d *Decision) denied(requestID string) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(d.Status)},
		Headers: overwrite(d.Response),
	}
	if requestID != "" {
		denied.Headers = append(denied.Headers, option(HeaderRequestID, requestID))
	}
	if d.Problem != (problem.Problem{}) {
		denied.Headers = append(denied.Headers, option("content-type", problem.ContentType))
		denied.Body = string(d.Problem.AppendJSON(nil, requestID))
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		DynamicMetadata: d.metadata(requestID),
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

func overwrite(list []headers.Header) []*corev3.HeaderValueOption {
	if len(list) == 0 {
		return nil
	}
	// Three allocations for all headers instead of two for each.
	options, values := make([]corev3.HeaderValueOption, len(list)), make([]corev3.HeaderValue, len(list))
	out := make([]*corev3.HeaderValueOption, len(list), len(list)+2)
	for i := range list {
		values[i].Key, values[i].Value = list[i].Name, list[i].Value
		options[i].Header, options[i].AppendAction = &values[i], corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		out[i] = &options[i]
	}
	return out
}

func option(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// full is a CheckRequest in which every text that is not in a map is set, each
// to another value, and whose header map has the headers that count.
func full(t testing.TB) *authv3.CheckRequest {
	t.Helper()
	m := &authv3.CheckRequest{}
	n := 0
	fill(m.ProtoReflect(), &n, 0)
	list := []*corev3.HeaderValue{{Key: "x-other", Value: "plain"}, {Key: "ORIGIN", RawValue: []byte("https://a"), Value: "not this"}}
	for _, name := range []string{
		"origin", "access-control-request-method", "access-control-request-headers", "access-control-request-private-network",
		"authorization", "x-api-key", "x-session-token", "dpop", "x-request-id", "x-memgate-tenant", "Txn_Token", "x-original-url",
	} {
		list = append(list, &corev3.HeaderValue{Key: name, RawValue: []byte("v-" + name)})
	}
	m.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: list}
	return m
}

// fill sets texts by reflection, so that a part of the message that nobody thought
// of here is set too.
func fill(m protoreflect.Message, n *int, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap() || f.IsList() || f.ContainingOneof() != nil && f.Index() != f.ContainingOneof().Fields().Get(0).Index():
		case f.Kind() == protoreflect.StringKind:
			*n++
			m.Set(f, protoreflect.ValueOfString(string(f.Name())+"-"+strings.Repeat("x", *n)))
		case f.Kind() == protoreflect.MessageKind && depth < 6:
			fill(m.Mutable(f).Message(), n, depth+1)
		}
	}
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// equalRequests compares what two requests say, in whichever form they hold their
// headers.
func equalRequests(a, b *Request) bool {
	flat := func(r *Request) (out Request, lines [][2]string) {
		r.each(func(name, value string) { lines = append(lines, [2]string{name, value}) })
		out = *r
		out.wire, out.lines, out.joined, out.added = "", nil, nil, nil
		return out, lines
	}
	flatA, linesA := flat(a)
	flatB, linesB := flat(b)
	return reflect.DeepEqual(flatA, flatB) && reflect.DeepEqual(linesA, linesB)
}

// What is read here is what the protobuf library reads, and what the usual message
// holds is read here.
func TestReadCheckAgreesWithTheLibrary(t *testing.T) {
	for name, m := range map[string]*authv3.CheckRequest{"every text": full(t), "of a browser": checkOf("Bearer x")} {
		var got Request
		if !readCheck(&got, string(marshal(t, m))) {
			t.Fatalf("%s: not read", name)
		}
		want := fromCheck(m)
		if !equalRequests(&got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, &got, want)
		}
		if name == "every text" && want.Address == "" {
			t.Error("the message is not as full as it should be")
		}
	}
}

// What Envoy does not write is left to the protobuf library.
func TestUnusualMessagesAreNotReadHere(t *testing.T) {
	usual := marshal(t, checkOf("Bearer x"))
	joined := checkOf("Bearer x")
	joined.Attributes.Request.Http.HeaderMap, joined.Attributes.Request.Http.Headers = nil, map[string]string{"authorization": "Bearer x"}
	pipe := full(t)
	pipe.Attributes.Source.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/x"}}}
	bytesOf := func(number protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), inner)
	}
	twoHosts := bytesOf(1, bytesOf(4, bytesOf(2, append(bytesOf(5, []byte("a")), append(bytesOf(13, bytesOf(1, bytesOf(1, []byte("k")))), bytesOf(13, bytesOf(1, bytesOf(1, []byte("k"))))...)...))))
	for name, wire := range map[string][]byte{
		"empty":               nil,
		"no request":          marshal(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{}}),
		"no HTTP request":     marshal(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}}),
		"joined headers":      marshal(t, joined),
		"a pipe":              marshal(t, pipe),
		"twice":               append(usual[:len(usual):len(usual)], usual...),
		"two header maps":     twoHosts,
		"cut short":           usual[:len(usual)-1],
		"a group":             append(usual[:len(usual):len(usual)], 9<<3|3),
		"field zero":          append(usual[:len(usual):len(usual)], 2, 0),
		"an endless number":   append(usual[:len(usual):len(usual)], 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1),
		"a number too large":  append(usual[:len(usual):len(usual)], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
		"no UTF-8":            bytesOf(1, bytesOf(4, bytesOf(2, append(bytesOf(5, []byte{0xff}), bytesOf(13, bytesOf(1, bytesOf(1, []byte("k"))))...)))),
		"a name of no UTF-8":  bytesOf(1, bytesOf(4, bytesOf(2, bytesOf(13, bytesOf(1, bytesOf(1, []byte{0xff})))))),
		"longer than it says": append(usual[:len(usual):len(usual)], 1<<3|2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		if readCheck(new(Request), string(wire)) {
			t.Errorf("%s: read", name)
		}
	}
	// It is the same for the one who asks.
	var q question
	if err := q.read(string(marshal(t, joined))); err != nil || !q.http || len(q.Authorization) != 1 {
		t.Errorf("joined headers: %+v %v", q, err)
	}
	if err := q.read(string(marshal(t, &authv3.CheckRequest{}))); err != nil || q.http {
		t.Errorf("no HTTP request: %+v %v", q, err)
	}
	if err := new(question).read("\xff"); err == nil {
		t.Error("no message, and no error")
	}
}

func FuzzReadCheck(f *testing.F) {
	f.Add(marshal(f, full(f)))
	f.Add(marshal(f, checkOf("Bearer x")))
	f.Add(marshal(f, &authv3.CheckRequest{}))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var got Request
		if !readCheck(&got, string(wire)) {
			return
		}
		var m authv3.CheckRequest
		if proto.Unmarshal(wire, &m) != nil {
			return // wrong in a part that nobody reads
		}
		if want := fromCheck(&m); !equalRequests(&got, want) || m.GetAttributes().GetRequest().GetHttp() == nil {
			t.Fatalf("%+v, want %+v", &got, want)
		}
	})
}

// decisions are some of all shapes.
func decisions() []*Decision {
	long := strings.Repeat("é", 9000)
	return []*Decision{
		{},
		{Allowed: true},
		{
			Allowed: true, Stage: StageAllow, Reason: ReasonAllowed, Route: "r", Content: "c", HashKey: "h",
			Principal: &identity.Principal{Kind: "jwt", Subject: "s", Tenant: "t", ID: "i"},
			Upstream:  []headers.Header{{Name: "a", Value: "b"}, {Name: "empty"}, {Value: "nameless"}, {Name: "long", Value: long}},
			Remove:    []string{"x", "", long}, Response: []headers.Header{{Name: "c", Value: "d"}},
			Spoofed: []string{"y", "z"}, Shadow: []Denial{{StageQuota, ReasonQuota, nil}},
		},
		{Status: 204, Stage: StagePreflight, Reason: ReasonPreflight, Response: []headers.Header{{Name: "vary", Value: "origin"}}},
		{Status: 429, Problem: problem.RateLimited, Stage: StageQuota, Reason: ReasonQuota, Response: []headers.Header{{Name: "retry-after", Value: "1"}}},
		{Status: 503, Problem: problem.Unavailable, Route: long},
	}
}

// What is written here is what the protobuf library would write, in other words
// at most.
func TestAnswerAgreesWithTheLibrary(t *testing.T) {
	for i, d := range decisions() {
		for _, id := range []string{"", "id-1"} {
			a := newAnswer(d, id)
			wire, err := a.append(nil)
			if err != nil || len(wire) != a.size() {
				t.Fatalf("%d: %d bytes of %d, %v", i, len(wire), a.size(), err)
			}
			var got authv3.CheckResponse
			if err := proto.Unmarshal(wire, &got); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if want := d.toCheck(id); !proto.Equal(&got, want) {
				t.Errorf("%d:\n%v, want\n%v", i, &got, want)
			}
		}
	}
}

// A text that Envoy could not read is an error, and so no permission.
func TestAnswerWithTextThatIsNone(t *testing.T) {
	const none = "\xff"
	for _, d := range []*Decision{
		{Allowed: true, Upstream: []headers.Header{{Name: none}}}, {Allowed: true, Upstream: []headers.Header{{Value: none}}},
		{Allowed: true, Remove: []string{none}}, {Allowed: true, Response: []headers.Header{{Value: none}}},
		{Allowed: true, Route: none}, {Status: 403, Response: []headers.Header{{Value: none}}},
	} {
		if _, err := newAnswer(d, "1").append(nil); err == nil {
			t.Errorf("%+v was written", d)
		}
		if _, err := (codec{}).Marshal(newAnswer(d, "1")); err == nil {
			t.Errorf("%+v was written", d)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(true, 200, "id", "tenant", "name", "value", 3)
	f.Add(false, 503, "", "", "", "", 0)
	f.Fuzz(func(t *testing.T, allowed bool, status int, id, tenant, name, value string, n int) {
		d := &Decision{Allowed: allowed, Status: int(uint16(status)), Route: value, Principal: &identity.Principal{Tenant: tenant, Subject: name}}
		for range n & 15 {
			d.Upstream = append(d.Upstream, headers.Header{Name: name, Value: value})
			d.Response = append(d.Response, headers.Header{Name: value, Value: name})
			d.Remove = append(d.Remove, name)
		}
		want, wrong := proto.Marshal(d.toCheck(id))
		a := newAnswer(d, id)
		wire, err := a.append(nil)
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%v, the library %v", err, wrong)
		}
		if err != nil {
			return
		}
		if len(wire) != a.size() || len(wire) != len(want) {
			t.Fatalf("%d bytes of %d, the library %d", len(wire), a.size(), len(want))
		}
		var got authv3.CheckResponse
		if err := proto.Unmarshal(wire, &got); err != nil || !proto.Equal(&got, d.toCheck(id)) {
			t.Fatalf("%v: %v, want %v", err, &got, d.toCheck(id))
		}
	})
}
