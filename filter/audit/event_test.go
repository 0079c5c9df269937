package audit

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2031, 5, 6, 14, 0, 0, 123456789, time.FixedZone("CEST", 7200))

var full = Event{
	Time: noon, RequestID: "7c0e6d1f", Route: "remember", Method: "POST",
	Tenant: "acme", Subject: "user-1", Kind: "jwt", Principal: "jti-9",
	Decision: Allow, Shadow: []string{"access:insufficient_scope", "quota:rate_limited"}, Opened: 3, Status: 422, Duration: 12345678 * time.Nanosecond, Received: 1024, Sent: 311,
	Findings: []Finding{{"CREDIT_CARD", 1}, {"EMAIL_ADDRESS", 2}}, Refusal: "blocked-pii",
	Poison:  Poison{7, []string{"override", "turn"}, "quarantine"},
	Spoofed: []string{"txn-token", "x-memgate-tenant"}, Flags: []string{"DC", "UT"}, Details: "via_upstream",
}

func TestGolden(t *testing.T) {
	events := []Event{
		full,
		{Time: noon, RequestID: "1", Method: "GET", Decision: Deny, Stage: "credentials", Reason: "token_expired", Status: 401, Duration: time.Microsecond},
		{Time: noon, Decision: Failure, Stage: "keys", Reason: "keys_unavailable", Status: 503, Duration: -time.Hour},
		{},
		{Time: noon, RequestID: "a\"b\\c\nd\x00\x7f", Subject: "\u202eevil\u2028\u0085", Method: "\xff\xfe", Decision: Allow, Tenant: "größe 😀"},
		{Time: noon, Decision: Allow, Subject: strings.Repeat("ä", MaxString), Principal: "x" + strings.Repeat("ä", MaxString)},
	}
	var got []byte
	for i := range events {
		got = append(events[i].AppendJSON(got), '\n')
	}
	file := filepath.Join("testdata", "events.golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("run go test -update when this is meant\ngot\n%s\nwant\n%s", got, want)
	}
}

type decoded struct {
	Time            time.Time         `json:"time"`
	RequestID       string            `json:"request_id"`
	Route           string            `json:"route"`
	Method          string            `json:"method"`
	Tenant          string            `json:"tenant"`
	Subject         string            `json:"subject"`
	Kind            string            `json:"kind"`
	Principal       string            `json:"principal"`
	Decision        string            `json:"decision"`
	Stage           string            `json:"stage"`
	Reason          string            `json:"reason"`
	Shadow          []string          `json:"shadow"`
	Opened          uint64            `json:"opened_pseudonyms"`
	Status          int               `json:"status"`
	DurationMS      float64           `json:"duration_ms"`
	BytesReceived   int64             `json:"bytes_received"`
	BytesSent       int64             `json:"bytes_sent"`
	Findings        map[string]uint64 `json:"findings"`
	Poison          decodedPoison     `json:"poison"`
	Refusal         string            `json:"refusal"`
	SpoofedHeaders  []string          `json:"spoofed_headers"`
	ResponseFlags   []string          `json:"response_flags"`
	ResponseDetails string            `json:"response_details"`
}

type decodedPoison struct {
	Score   int      `json:"score"`
	Outcome string   `json:"outcome"`
	Rules   []string `json:"rules"`
}

func decode(t *testing.T, line []byte) decoded {
	t.Helper()
	var d struct {
		Unmapped decoded `json:"unmapped"`

		Metadata     any `json:"metadata"`
		CategoryUID  int `json:"category_uid"`
		ClassUID     int `json:"class_uid"`
		ActivityID   int `json:"activity_id"`
		TypeUID      int `json:"type_uid"`
		SeverityID   int `json:"severity_id"`
		StatusID     int `json:"status_id"`
		ActionID     int `json:"action_id"`
		Time         int `json:"time"`
		DstEndpoint  any `json:"dst_endpoint"`
		HTTPRequest  any `json:"http_request"`
		HTTPResponse any `json:"http_response"`
		Actor        any `json:"actor"`
	}
	dec := json.NewDecoder(strings.NewReader(string(line)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return d.Unmapped
}

func TestEveryFieldIsWritten(t *testing.T) {
	got := decode(t, full.AppendJSON(nil))
	want := decoded{
		Time: noon.UTC(), RequestID: "7c0e6d1f", Route: "remember", Method: "POST", Tenant: "acme", Subject: "user-1",
		Kind: "jwt", Principal: "jti-9", Decision: "allow", Status: 422, Shadow: []string{"access:insufficient_scope", "quota:rate_limited"}, DurationMS: 12.345, BytesReceived: 1024, BytesSent: 311,
		Findings: map[string]uint64{"CREDIT_CARD": 1, "EMAIL_ADDRESS": 2}, Refusal: "blocked-pii", Opened: 3, Poison: decodedPoison{7, "quarantine", []string{"override", "turn"}},
		SpoofedHeaders: []string{"txn-token", "x-memgate-tenant"}, ResponseFlags: []string{"DC", "UT"}, ResponseDetails: "via_upstream",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// Stage and Reason go with refusals; a field that is added and forgotten in
	// AppendJSON shows here.
	if n := reflect.TypeFor[Event]().NumField(); n != 23 {
		t.Errorf("Event has %d fields; add the new one to AppendJSON and to this test", n)
	}
}

func TestBounds(t *testing.T) {
	e := full
	e.Spoofed = make([]string, 10_000)
	e.Flags = e.Spoofed
	e.Findings = make([]Finding, 10_000)
	for i := range e.Spoofed {
		e.Spoofed[i] = strings.Repeat("\x00", 10_000)
		e.Findings[i].Entity = e.Spoofed[i]
	}
	e.Subject = e.Spoofed[0]
	b := e.AppendJSON(nil)
	if limit := (3*MaxList + 16) * (6*MaxString + 32); len(b) > limit {
		t.Errorf("%d bytes, want at most %d", len(b), limit)
	}
	if d := decode(t, b); len(d.SpoofedHeaders) != MaxList {
		t.Errorf("%d spoofed headers", len(d.SpoofedHeaders))
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("id", "subject", "GET", "x-a", int64(1), int64(2))
	f.Add("\"\\\n", "\u2028\u202e\u0085", "\xff\xc3", "\x00", int64(-1), int64(1<<62))
	f.Add(strings.Repeat("ä", 200), strings.Repeat("\xf0\x9f", 200), strings.Repeat("😀", 64)+"a", strings.Repeat("a", 255)+"ä", int64(0), int64(-1<<63))
	f.Fuzz(func(t *testing.T, id, subject, method, list string, duration, bytes int64) {
		e := Event{Time: noon, RequestID: id, Subject: subject, Method: method, Spoofed: []string{list, id},
			Findings: []Finding{{"E", uint64(bytes)}}, Decision: Allow, Duration: time.Duration(duration), Received: bytes}
		b := e.AppendJSON(nil)
		if !utf8.Valid(b) {
			t.Fatalf("not UTF-8: %q", b)
		}
		for _, r := range string(b) {
			if r < 0x20 || r == 0x7f || strings.ContainsRune("\u200e\u200f\u061c\ufeff", r) || r >= 0x80 && r <= 0x9f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Fatalf("a control character in %q", b)
			}
		}
		d := decode(t, b)
		for got, want := range map[string]string{d.RequestID: id, d.Method: method, d.Subject: subject} {
			if len(want) <= MaxString && utf8.ValidString(want) && got != want {
				t.Errorf("%q became %q", want, got)
			}
			if kept, cut := strings.CutSuffix(got, "…"); cut && len(want) > MaxString && utf8.ValidString(want) && !strings.HasPrefix(want, kept) {
				t.Errorf("%q was cut to %q", want, got)
			}
		}
		if d.BytesReceived != bytes || d.DurationMS < 0 {
			t.Errorf("numbers were changed: %q", b)
		}
	})
}

func TestParseFindings(t *testing.T) {
	tests := []struct {
		in   string
		want []Finding
		ok   bool
	}{
		{"", nil, true},
		{"EMAIL_ADDRESS=2", []Finding{{"EMAIL_ADDRESS", 2}}, true},
		{"EMAIL_ADDRESS=2,CREDIT_CARD=1", []Finding{{"CREDIT_CARD", 1}, {"EMAIL_ADDRESS", 2}}, true},
		{"A=18446744073709551615", []Finding{{"A", 1<<64 - 1}}, true},
		{"A=18446744073709551616", nil, false},
		{"A=1,A=2", nil, false},
		{"A=1,", nil, false},
		{"A", nil, false},
		{"A=", nil, false},
		{"=1", nil, false},
		{"A=-1", nil, false},
		{"A=+1", nil, false},
		{"a=1", nil, false},
		{"A\"=1", nil, false},
		{strings.Repeat("A", 65) + "=1", nil, false},
		{strings.Repeat("A=1,", 2000), nil, false},
	}
	for _, tt := range tests {
		got, ok := ParseFindings(tt.in)
		if ok != tt.ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseFindings(%.40q) = %v, %v", tt.in, got, ok)
		}
	}
}

// go test -bench=. -count=10 ./filter/audit | benchstat -
func BenchmarkAppendJSON(b *testing.B) {
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		full.AppendJSON(dst)
	}
}

// The members that OCSF requires of the class HTTP Activity, and what they say of
// an event.
func TestOCSF(t *testing.T) {
	for _, c := range []struct {
		event                                 Event
		activity, severity, status, action, n int
	}{
		{Event{Method: "POST", Decision: Allow, Status: 200}, 6, 1, 1, 1, 200},
		{Event{Method: "GET", Decision: Allow, Status: 404}, 3, 1, 2, 1, 404},
		{Event{Method: "PATCH", Decision: Allow, Status: 422, Refusal: "blocked-pii"}, 99, 1, 2, 2, 422},
		{Event{Method: "DELETE", Decision: Deny, Status: 401}, 2, 2, 2, 2, 401},
		{Event{Decision: Failure}, 0, 3, 0, 2, 0},
	} {
		c.event.Time, c.event.RequestID, c.event.Tenant, c.event.Subject = noon, "id-1", "acme", "user-1"
		var got struct {
			Metadata struct {
				Sequence *int64
				Version  string
				Product  struct {
					Name   string
					Vendor string `json:"vendor_name"`
				}
				Tenant string `json:"tenant_uid"`
			}
			Category int   `json:"category_uid"`
			Class    int   `json:"class_uid"`
			Activity int   `json:"activity_id"`
			Type     int   `json:"type_uid"`
			Severity int   `json:"severity_id"`
			Status   int   `json:"status_id"`
			Action   int   `json:"action_id"`
			Time     int64 `json:"time"`
			Endpoint struct {
				Name string `json:"svc_name"`
			} `json:"dst_endpoint"`
			Request struct {
				UID    string
				Method string `json:"http_method"`
			} `json:"http_request"`
			Response struct{ Code int } `json:"http_response"`
			Actor    struct{ User struct{ UID string } }
		}
		line := c.event.appendLine(nil, 17)
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if got.Metadata.Sequence == nil || *got.Metadata.Sequence != 17 || got.Metadata.Version != OCSFVersion || got.Metadata.Product.Name != "memgate" ||
			got.Metadata.Product.Vendor == "" || got.Metadata.Tenant != "acme" || got.Category != 4 || got.Class != 4002 || got.Type != 400200+got.Activity ||
			got.Time != noon.UnixMilli() || got.Endpoint.Name == "" || got.Request.UID != "id-1" || got.Request.Method != c.event.Method || got.Actor.User.UID != "user-1" {
			t.Errorf("%s", line)
		}
		if got.Activity != c.activity || got.Severity != c.severity || got.Status != c.status || got.Action != c.action || got.Response.Code != c.n {
			t.Errorf("%+v became %s", c.event, line)
		}
		if n, ok := sequenceOf(line); !ok || n != 17 {
			t.Errorf("sequence %d, %v", n, ok)
		}
		if _, ok := sequenceOf(c.event.AppendJSON(nil)); ok {
			t.Error("a line without a number has one")
		}
	}
}
