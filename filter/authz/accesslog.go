package authz

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/verdict"
)

// Keys of the filter state that the Wasm filter leaves for the access log.
const (
	FindingsKey = "wasm.memgate.findings" // EMAIL_ADDRESS=2,CREDIT_CARD=1
	RefusalKey  = "wasm.memgate.refusal"  // a problem's slug
	ShadowKey   = "wasm.memgate.shadow"   // stage:reason, by commas
	OpenedKey   = "wasm.memgate.opened"   // how many pseudonyms were opened
	PoisonKey   = "wasm.memgate.poison"   // 7 quarantine override,exfiltration
)

// AccessLog receives Envoy's access log and writes one audit event a request.
type AccessLog struct {
	alsv3.UnimplementedAccessLogServiceServer

	log     *slog.Logger
	metrics *Metrics
	write   func(*audit.Event) error
	ended   func(tenant, lease string)

	taken   atomic.Int64  // entries, of all streams
	ending  chan struct{} // closed by End
	readers sync.WaitGroup
}

// NewAccessLog returns a receiver that hands each event to write, and to ended
// which place among those under way it was; see [Service.Release].
func NewAccessLog(log *slog.Logger, metrics *Metrics, write func(*audit.Event) error, ended func(tenant, lease string)) *AccessLog {
	return &AccessLog{log: log, metrics: metrics, write: write, ended: ended, ending: make(chan struct{})}
}

// End ends all streams, once nothing was logged for the time quiet, or when ctx
// ends. Envoy by itself keeps a stream for as long as it lives; one that is ended
// it opens anew, with another instance if there is one. Call it once.
func (a *AccessLog) End(ctx context.Context, quiet time.Duration) {
	defer close(a.ending)
	wait := time.NewTimer(quiet)
	defer wait.Stop()
	for taken := int64(-1); taken != a.taken.Load(); wait.Reset(quiet) {
		taken = a.taken.Load()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
	}
}

// Wait waits until each entry that was taken is written. Call it when the server
// has ended.
func (a *AccessLog) Wait() { a.readers.Wait() }

// StreamAccessLogs reads entries until Envoy closes the stream, or [AccessLog.End]
// does. The server must have been made with [Codec].
func (a *AccessLog) StreamAccessLogs(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	read := make(chan error, 1)
	a.readers.Go(func() { read <- a.read(stream) })
	select {
	case err := <-read:
		if err != nil {
			return err
		}
	case <-a.ending:
	}
	return stream.SendAndClose(&alsv3.StreamAccessLogsResponse{})
}

// read takes entries until the stream ends.
func (a *AccessLog) read(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	var batch logBatch
	for {
		err := stream.RecvMsg(&batch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range batch {
			a.receive(&batch[i])
		}
		a.taken.Add(int64(len(batch)))
		clear(batch) // its texts are pieces of the message
	}
}

// receive takes one entry: the request has ended.
func (a *AccessLog) receive(entry *logEntry) {
	event, lease := entry.event()
	if lease != "" {
		a.ended(event.Tenant, lease)
	}
	would := filterShadow(entry.shadow)
	for _, d := range would {
		event.Shadow = append(event.Shadow, d.entry())
		a.metrics.shadow.WithLabelValues(string(d.Stage), string(d.Reason), event.Route).Inc()
	}
	a.count(&event)
	if err := a.write(&event); err != nil {
		a.log.Error("audit event not written", "error", err, "request_id", event.RequestID)
	}
}

func (a *AccessLog) count(e *audit.Event) {
	a.metrics.requests.WithLabelValues(e.Route, statusClass(e.Status)).Inc()
	for _, f := range e.Findings {
		a.metrics.findings.WithLabelValues(f.Entity).Add(float64(f.Count))
	}
	a.metrics.scored(e)
	if e.Refusal != "" {
		a.metrics.refusals.WithLabelValues(e.Refusal).Inc()
	}
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

// logEntry is what matters of an entry of Envoy's log. The raw path, the query and the
// client's address stay behind: they can hold personal data.
type logEntry struct {
	start     time.Time
	duration  time.Duration
	requestID string
	method    string
	route     string
	verdict   string // a verdict.Log
	status    int
	received  int64 // bytes of bodies
	sent      int64
	details   string
	flags     []string

	// What the Wasm filter left.
	refusal, poison, findings, opened, shadow string
}

// fromEntry reads an entry from Envoy's message. What it reads, [readEntry] reads too.
func fromEntry(entry *accesslogdata.HTTPAccessLogEntry) logEntry {
	common, response := entry.GetCommonProperties(), entry.GetResponse()
	meta := common.GetMetadata().GetFilterMetadata()[MetadataNamespace].GetFields()
	return logEntry{
		start:     common.GetStartTime().AsTime(),
		duration:  common.GetDuration().AsDuration(),
		requestID: entry.GetRequest().GetRequestId(),
		method:    entry.GetRequest().GetRequestMethod().String(),
		route:     text(meta, metaRoute),
		verdict:   text(meta, metaLog),
		status:    int(response.GetResponseCode().GetValue()),
		received:  int64(entry.GetRequest().GetRequestBodyBytes()),
		sent:      int64(response.GetResponseBodyBytes()),
		details:   response.GetResponseCodeDetails(),
		flags:     flags(common.GetResponseFlags()),
		refusal:   state(common, RefusalKey),
		poison:    state(common, PoisonKey),
		findings:  state(common, FindingsKey),
		opened:    state(common, OpenedKey),
		shadow:    state(common, ShadowKey),
	}
}

// event maps an entry to an audit event, and returns the place that the request had.
func (l *logEntry) event() (e audit.Event, lease string) {
	said, _ := verdict.ParseLog(l.verdict)
	e = audit.Event{
		Time:      l.start,
		RequestID: l.requestID,
		Route:     strings.Clone(l.route), // metrics keep it
		Method:    l.method,
		Tenant:    said.Tenant,
		Subject:   said.Subject,
		Kind:      said.Kind,
		Principal: said.Principal,
		Decision:  said.Decision,
		Stage:     said.Stage,
		Reason:    said.Reason,
		Status:    l.status,
		Duration:  l.duration,
		Received:  l.received,
		Sent:      l.sent,
		Refusal:   l.refusal,
		Poison:    poisonOf(l.poison),
		Findings:  findings(l.findings),
		Opened:    number(l.opened),
		Flags:     l.flags,
		Details:   l.details,
	}
	if said.Spoofed != "" {
		e.Spoofed = strings.Split(said.Spoofed, ",")
	}
	if said.Shadow != "" {
		e.Shadow = strings.Split(said.Shadow, ",")
	}
	if e.RequestID == "" {
		e.RequestID = said.RequestID
	}
	if e.Decision == "" {
		// The request never got an answer of the authz service: Envoy
		// refused it, or the service was out of reach.
		e.Decision, e.Stage, e.Reason = audit.Failure, "envoy", envoyReason(e.Details)
		if e.Status == http.StatusBadRequest {
			// Envoy refuses a path before it replaces the request id that the
			// client sent. The trail never holds one that a client chose.
			e.RequestID = ""
		}
	}
	return e, said.Lease
}

// maxReason bounds a reason that Envoy gives.
const maxReason = 64

// envoyReason is why Envoy answered by itself: the first word of its response code
// details, which are from a list of Envoy's own. What may follow it, such as the
// text of an error, stays behind.
func envoyReason(details string) string {
	end := 0
	for end < len(details) && end < maxReason {
		c := details[end]
		if c != '_' && c != '.' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			break
		}
		end++
	}
	if end == 0 {
		return "unknown"
	}
	return details[:end]
}

// number reads what the Wasm filter counted, 0 if it is none.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return n
}

func text(fields map[string]*structpb.Value, key string) string {
	return fields[key].GetStringValue()
}

func state(common *accesslogdata.AccessLogCommon, key string) string {
	return unwrap(common.GetFilterStateObjects()[key])
}

func unwrap(value *anypb.Any) string {
	if value == nil {
		return ""
	}
	var s wrapperspb.StringValue
	if value.MessageIs(&s) && value.UnmarshalTo(&s) == nil {
		return s.GetValue()
	}
	var b wrapperspb.BytesValue
	if value.MessageIs(&b) && value.UnmarshalTo(&b) == nil {
		return string(b.GetValue())
	}
	return ""
}

// findings reads what the Wasm filter counted. A list that names something else
// than an entity is dropped as a whole, so that nothing but entities' names and
// numbers can reach the log.
func findings(list string) []audit.Finding {
	parsed, ok := audit.ParseFindings(list)
	if !ok {
		return nil
	}
	for _, f := range parsed {
		if _, known := pii.ParseEntity(f.Entity); !known {
			return nil
		}
	}
	return parsed
}

// flags lists the response flags that are set, by their names in Envoy's API.
func flags(f *accesslogdata.ResponseFlags) []string {
	if f == nil {
		return nil
	}
	var out []string
	f.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		out = append(out, string(field.Name()))
		return true
	})
	slices.Sort(out)
	return out
}
