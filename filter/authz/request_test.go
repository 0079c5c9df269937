package authz

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/memgate/memgate/filter/audit"
)

// A caller with a token that may only write got the edge to let a POST through,
// and named another method or path in a header that many frameworks obey. Where a
// mesh lets underscores through, "x_memgate_tenant" reached services to which it
// is the same name as the edge's own header.
func TestHeadersThatSteerTheUpstreamAreTakenOff(t *testing.T) {
	f := newFixture(t, testPolicy)
	d := f.chain.Decide(context.Background(), request("POST", "/agents/a/remember",
		"Authorization: Bearer "+f.token(t, "memory:write"),
		"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE",
		"X-Original-URL: /admin", "X-Rewrite-Url: /admin", "x-original-uri: /admin", "X-Envoy-Original-Path: /admin",
		"X-Envoy-Auth-Failure-Mode-Allowed: true",
		"X_Memgate_Tenant: victim", "txn_token: forged", "X-Memgate_Subject: root",
		"X-Http-Methods: stays", "X-Originals: stays", "xmemgate-tenant: stays"))
	if !d.Allowed {
		t.Fatalf("%+v", d)
	}
	want := []string{
		"x-http-method-override", "x-http-method", "x-method-override",
		"x-original-url", "x-rewrite-url", "x-original-uri", "x-envoy-original-path",
		"x-envoy-auth-failure-mode-allowed",
		"x_memgate_tenant", "txn_token", "x-memgate_subject",
	}
	if !slices.Equal(d.Spoofed, want) {
		t.Errorf("spoofed %q", d.Spoofed)
	}
	for _, name := range want {
		if !slices.Contains(d.Remove, name) {
			t.Errorf("%s reaches the upstream", name)
		}
	}
	for _, name := range d.Remove {
		if get(d.Upstream, name) != "" {
			t.Errorf("%s is set and removed", name)
		}
	}
}

// A path that Envoy refuses by itself is refused before Envoy makes a request id,
// so that a caller could write lines under another request's id into the trail.
func TestAuditHoldsNoRequestIDOfTheCaller(t *testing.T) {
	entry := func(status uint32) *accesslogdata.HTTPAccessLogEntry {
		return &accesslogdata.HTTPAccessLogEntry{
			Request:  &accesslogdata.HTTPRequestProperties{RequestId: "of-another-request"},
			Response: &accesslogdata.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(status)},
		}
	}
	if e, _ := eventOf(entry(400)); e.RequestID != "" || e.Stage != "envoy" {
		t.Errorf("%+v", e)
	}
	if e, _ := eventOf(entry(503)); e.RequestID == "" {
		t.Error("the id of a request that could not be decided is lost")
	}
}

// A message with 20,000 reserved headers took five seconds: each name was compared
// with all before it.
func TestManyReservedHeadersAreTakenOffInTime(t *testing.T) {
	r := request("GET", "/healthz")
	start := time.Now()
	for range 2 {
		for i := range 20_000 {
			r.Add("X-Memgate-"+strconv.Itoa(i), "1")
		}
	}
	d := newFixture(t, testPolicy).chain.Decide(context.Background(), r)
	response := d.toCheck("req-1")
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if !d.Allowed || len(d.Spoofed) != 20_000 {
		t.Fatalf("%d names", len(d.Spoofed))
	}
	for _, name := range []string{"x-memgate-0", "x-memgate-15", "x-memgate-16", "x-memgate-19999"} {
		if !slices.Contains(response.GetOkResponse().GetHeadersToRemove(), name) {
			t.Errorf("%s reaches the upstream", name)
		}
	}
	if names := strings.Split(logged(t, response).Spoofed, ","); len(names) > audit.MaxList || names[0] != "x-memgate-0" {
		t.Errorf("%d names for the log", len(names))
	}
}

// Only what was sent is removed, and what the upstream may read whole stays.
func TestWithheld(t *testing.T) {
	all := make([]string, 0, 2*len(withheld))
	for _, name := range withheld {
		all = append(all, strings.ToUpper(name)+": x", name+": y")
	}
	policies := map[string][]string{
		testPolicy: withheld[:],
		strings.Replace(testPolicy, "pii:\n", "pii:\n  mode: shadow\n", 1): withheld[:numForwarding],
		testPolicy + "envoy: { trusted_hops: 1 }\n":                        withheld[numForwarding:],
	}
	for policy, want := range policies {
		chain := newFixture(t, policy).chain
		d := chain.Decide(context.Background(), request("GET", "/healthz", all...))
		if got := d.Remove; !d.Allowed || !slices.Equal(got, append(slices.Clone(credentialHeaders[1:]), want...)) {
			t.Errorf("removed %q, want the other credentials and %q", got, want)
		}
		d = chain.Decide(context.Background(), request("GET", "/healthz", "Accept: */*"))
		if !d.Allowed || !slices.Equal(d.Remove, credentialHeaders[1:]) {
			t.Errorf("removed %q, want the other credentials", d.Remove)
		}
	}
}
