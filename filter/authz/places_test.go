package authz

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/problem"
)

// atOnce is the policy of the tests with two requests of a tenant at once, one
// of them of the class read.
func atOnce(more string) string {
	return strings.Replace(strings.Replace(testPolicy, "write: 2/m", "write: 1000/m", 1), "limits: {", "limits: { "+more+"concurrency: { tenant: 2, classes: { read: 1 } },", 1)
}

func TestPlaces(t *testing.T) {
	f := newFixture(t, atOnce(""))
	service := NewService(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), time.Now)
	service.Use(f.chain)
	log := NewAccessLog(slog.New(slog.DiscardHandler), service.metrics, func(*audit.Event) error { return nil }, service.Release)
	ended := func(d *Decision) { // as Envoy tells it
		entry := fromEntry(&accesslogdata.HTTPAccessLogEntry{CommonProperties: &accesslogdata.AccessLogCommon{
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{MetadataNamespace: d.metadata("id")}},
		}})
		log.receive(&entry)
	}
	bearer := "Authorization: Bearer " + f.token(t, "memory:read memory:write")
	send := func(method, path string) *Decision {
		return f.chain.Decide(context.Background(), request(method, path, bearer))
	}
	write := func() *Decision { return send("POST", "/agents/a/remember") }

	first, second := write(), write()
	if !first.Allowed || !second.Allowed {
		t.Fatalf("%+v %+v", first, second)
	}
	third := write()
	if third.Allowed || third.Status != 429 || third.Reason != ReasonConcurrency || third.Stage != StageQuota || third.Problem != problem.TooManyAtOnce || third.lease != "" {
		t.Fatalf("%+v", third)
	}
	if retry := get(third.Response, "retry-after"); retry != "1" {
		t.Errorf("Retry-After %q", retry)
	}
	// A class with a number of its own counts apart.
	if d := send("GET", "/tenants/acme/memories"); !d.Allowed {
		t.Errorf("the class read: %s", d.Reason)
	}
	if d := send("GET", "/tenants/acme/memories"); d.Allowed || d.Reason != ReasonConcurrency {
		t.Errorf("the class read, twice: %s", d.Reason)
	}
	if ended(third); write().Allowed {
		t.Error("the log of a refused request frees a place")
	}
	ended(first)
	ended(first)
	if d := write(); !d.Allowed {
		t.Errorf("after the first has ended: %s", d.Reason)
	}
	if write().Allowed {
		t.Error("a place was given back twice")
	}

	// Refused after the quota: the place is given back at once.
	ended(second)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if d := f.chain.Decide(gone, request("POST", "/agents/a/remember", bearer)); d.Allowed || d.lease != "" || d.Reason != ReasonCancelled {
		t.Fatalf("%+v", d)
	}
	if d := write(); !d.Allowed {
		t.Errorf("after a request that was cancelled: %s", d.Reason)
	}
	// No log ever comes of those that are under way.
	f.now = f.now.Add(f.chain.hold - time.Second)
	bearer = "Authorization: Bearer " + f.token(t, "memory:read memory:write")
	if write().Allowed {
		t.Error("a place is free before its hold is over")
	}
	f.now = f.now.Add(2 * time.Second)
	if d := write(); !d.Allowed {
		t.Errorf("after the hold: %s", d.Reason)
	}
}

func TestPlacesInShadow(t *testing.T) {
	f := newFixture(t, atOnce("mode: shadow, "))
	r := request("POST", "/agents/a/remember", "Authorization: Bearer "+f.token(t, "memory:write"))
	for n := range 4 {
		d, steps := f.chain.Explain(context.Background(), r)
		want := ""
		if n >= 2 {
			want = "quota:too_many_at_once"
		}
		if !d.Allowed || d.shadow() != want || get(d.Response, "retry-after") != "" {
			t.Errorf("request %d: %+v", n+1, d)
		}
		if last := steps[len(steps)-1]; last.Stage != StageQuota || (last.Verdict == WouldDeny) != (n >= 2) {
			t.Errorf("request %d: %+v", n+1, last)
		}
	}
}
