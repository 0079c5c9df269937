package authz

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/identity"
)

// What Envoy refused by itself has a stage and a reason, too, and nothing of what
// the request was.
func TestEnvoyRefuses(t *testing.T) {
	for details, want := range map[string]string{
		"ext_authz_error":           "ext_authz_error",
		"request_rate_limited":      "request_rate_limited",
		"http1.codec_error":         "http1.codec_error",
		"path_normalization_failed": "path_normalization_failed",
		"upstream_reset_before_response_started{connection_termination|ann@example.com}": "upstream_reset_before_response_started",
		"":                       "unknown",
		"-":                      "unknown",
		strings.Repeat("a", 100): strings.Repeat("a", maxReason),
	} {
		e, _ := eventOf(&accesslogdata.HTTPAccessLogEntry{
			Request:  &accesslogdata.HTTPRequestProperties{RequestId: "id"},
			Response: &accesslogdata.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(503), ResponseCodeDetails: details},
		})
		if e.Decision != "error" || e.Stage != "envoy" || e.Reason != want || e.RequestID != "id" {
			t.Errorf("%q: %+v", details, e)
		}
	}
}

func eventOf(entry *accesslogdata.HTTPAccessLogEntry) (audit.Event, string) {
	l := fromEntry(entry)
	return l.event()
}

// usual is an entry as Envoy writes one of most requests, with parts that nobody reads.
func usual() *accesslogdata.HTTPAccessLogEntry {
	meta := (&Decision{Allowed: true, Route: "remember", Stage: StageAllow, Reason: ReasonAllowed, Principal: &identity.Principal{Tenant: "acme", Subject: "sübject"}, lease: "k i"}).metadata("id")
	return &accesslogdata.HTTPAccessLogEntry{
		ProtocolVersion: accesslogdata.HTTPAccessLogEntry_HTTP11,
		CommonProperties: &accesslogdata.AccessLogCommon{
			SampleRate:    1,
			StartTime:     &timestamppb.Timestamp{Seconds: 1790000000, Nanos: 123456789},
			Duration:      durationpb.New(1500 * time.Millisecond),
			ResponseFlags: &accesslogdata.ResponseFlags{},
			StreamId:      "s",
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
				MetadataNamespace: meta, "another": {Fields: map[string]*structpb.Value{"route": structpb.NewStringValue("x")}},
			}},
		},
		Request: &accesslogdata.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod_POST, Path: "/x", RequestId: "id", RequestBodyBytes: 1030, RequestHeadersBytes: 900,
		},
		Response: &accesslogdata.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(200), ResponseBodyBytes: 1 << 40, ResponseCodeDetails: "via_upstream",
		},
	}
}

// A usual entry is read without the protobuf library, and each unusual one with it.
func TestReadEntry(t *testing.T) {
	var got logEntry
	want := fromEntry(usual())
	if !readEntry(&got, string(marshal(t, usual()))) || !reflect.DeepEqual(got, want) || got.verdict == "" || got.status != 200 {
		t.Errorf("%+v, want %+v", got, want)
	}
	for name, change := range map[string]func(*accesslogdata.HTTPAccessLogEntry){
		"findings": func(e *accesslogdata.HTTPAccessLogEntry) {
			text, err := anypb.New(wrapperspb.Bytes([]byte("EMAIL_ADDRESS=2")))
			if err != nil {
				t.Fatal(err)
			}
			e.CommonProperties.FilterStateObjects = map[string]*anypb.Any{FindingsKey: text}
		},
		"flags": func(e *accesslogdata.HTTPAccessLogEntry) { e.CommonProperties.ResponseFlags.NoHealthyUpstream = true },
		"a time before the epoch": func(e *accesslogdata.HTTPAccessLogEntry) {
			e.CommonProperties.StartTime.Seconds = -1
		},
		"a route that is no text": func(e *accesslogdata.HTTPAccessLogEntry) {
			e.CommonProperties.Metadata.FilterMetadata[MetadataNamespace].Fields[metaRoute] = structpb.NewBoolValue(true)
		},
	} {
		e := usual()
		change(e)
		if readEntry(new(logEntry), string(marshal(t, e))) {
			t.Errorf("%s: read", name)
		}
		message := &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdata.HTTPAccessLogEntry{usual(), e}},
		}}
		var batch logBatch
		if err := batch.read(string(marshal(t, message))); err != nil || !reflect.DeepEqual(batch, logBatch{want, fromEntry(e)}) {
			t.Errorf("%s: %+v, %v", name, batch, err)
		}
	}
	var batch logBatch
	for _, wrong := range []string{"\xff", "\x12\x02\x0a\x05", "\x12\x03\x0a\x01\xff"} {
		if err := batch.read(wrong); err == nil || len(batch) > 0 {
			t.Errorf("%q: %v", wrong, batch)
		}
	}
	if err := batch.read(""); err != nil || len(batch) > 0 {
		t.Errorf("no entry: %v, %v", batch, err)
	}
}

func FuzzReadEntry(f *testing.F) {
	f.Add(marshal(f, usual()))
	f.Add(marshal(f, &accesslogdata.HTTPAccessLogEntry{}))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var got logEntry
		if !readEntry(&got, string(wire)) {
			return
		}
		var m accesslogdata.HTTPAccessLogEntry
		if proto.Unmarshal(wire, &m) != nil {
			return // wrong in a part that nobody reads
		}
		if want := fromEntry(&m); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}
