package mention

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

var tenant, agent = &Places{Headers: []string{"X-Tenant-ID"}, Query: []string{"tenant_id", "org"}}, &Places{Query: []string{"agent_id"}}

func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		lines [][2]string
		any   bool
		acme  bool
	}{
		{nil, false, true},
		{[][2]string{{"x-tenant", "other"}, {"x-tenant-idx", "other"}}, false, true},
		{[][2]string{{"x-tenant-id", "acme"}}, true, true},
		{[][2]string{{"X-TENANT-ID", " \tacme "}}, true, true},
		{[][2]string{{"x_tenant_id", "other"}}, true, false},
		{[][2]string{{"x-tenant-id", "Acme"}}, true, false},
		{[][2]string{{"x-tenant-id", ""}}, true, false},
		{[][2]string{{"x-tenant-id", "acme"}, {"x-tenant-id", "acme"}}, true, true},
		{[][2]string{{"x-tenant-id", "acme"}, {"x-tenant-id", "other"}}, true, false},
		{[][2]string{{"x-tenant-id", "other"}, {"x-tenant-id", "acme"}}, true, false},
		{[][2]string{{"x-tenant-id", ""}, {"x-tenant-id", "acme"}}, true, false},
		{[][2]string{{"x-tenant-id", "acme,acme"}}, true, false},
		{[][2]string{{"x-tenant-id", "\"acme\""}}, true, false},
	} {
		var f Found
		for _, line := range tt.lines {
			tenant.Header(&f, line[0], line[1])
		}
		if f.Any() != tt.any || f.Is("acme") != tt.acme {
			t.Errorf("%q: named %v, acme %v", tt.lines, f.Any(), f.Is("acme"))
		}
	}
}

func TestSame(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{nil, ""}, {[]string{"a"}, "a"}, {[]string{"a", "a"}, "a"}, {[]string{"a", "b"}, ""}, {[]string{"a", "b", "a"}, ""}, {[]string{""}, ""},
	} {
		var f Found
		for _, v := range tt.values {
			f.Add(v)
		}
		if got := f.Same(); got != tt.want {
			t.Errorf("%q: %q", tt.values, got)
		}
	}
}

func TestQuery(t *testing.T) {
	for _, tt := range []struct {
		query         string
		tenant, agent bool // is acme, is helper
		fails         bool
	}{
		{"", true, true, false},
		{"a=b&c", true, true, false},
		{"tenant_id=acme&agent_id=helper", true, true, false},
		{"tenant_id=other", false, true, false},
		{"agent_id=other", true, false, false},
		{"tenant_id=acme&tenant_id=other", false, true, false},
		{"tenant_id=other&tenant_id=acme", false, true, false},
		{"tenant_id=acme&org=other", false, true, false},
		{"Tenant_ID=other", false, true, false},
		{"%74enant%5Fid=other", false, true, false},
		{"%74enant%5fid=%61cme", true, true, false},
		{"tenant%255fid=other", true, true, false}, // of another name, decoded once
		{"tenant_id=%2561cme", false, true, false},
		{"tenant_id[]=other", false, true, false},
		{"tenant_id[0]=acme&tenant_id%5B1%5D=other", false, true, false},
		{"tenant_id=", false, true, false},
		{"tenant_id", false, true, false},
		{"tenant_id=acme+", false, true, false},
		{"tenant_id=acme%20", false, true, false},
		{"tenant_id=acme=", false, true, false},
		{"tenant_id=acme%00", false, true, false},
		{"tenant_id=%C0%E1cme", false, true, false},
		{"tenant_id=acme?tenant_id=other", false, true, false},
		{"&&=&tenant_id=acme&", true, true, false},
		{"a=1;tenant_id=other", true, true, true},
		{"a=%", true, true, true},
		{"a=%4", true, true, true},
		{"%zz=1", true, true, true},
		{"tenant_id=acme&b=%g0", true, true, true},
		{"a=b#tenant_id=other", true, true, true},
		{"a=\xff", true, true, true},
		{"a b=c", true, true, true},
		{"a=\x00", true, true, true},
	} {
		var inTenant, inAgent Found
		err := Query("/path?"+tt.query, tenant, agent, &inTenant, &inAgent)
		if errors.Is(err, ErrQuery) != tt.fails || (err != nil) != tt.fails {
			t.Errorf("%q: %v", tt.query, err)
		}
		if err == nil && (inTenant.Is("acme") != tt.tenant || inAgent.Is("helper") != tt.agent) {
			t.Errorf("%q: tenant %+v, agent %+v", tt.query, inTenant, inAgent)
		}
	}
	var f Found
	if err := Query("/tenant_id=other", tenant, agent, &f, &f); err != nil || f.Any() {
		t.Errorf("a path without a query: %v, %+v", err, f)
	}
}

func TestValid(t *testing.T) {
	for name, want := range map[string]bool{"X-Tenant-ID": true, "a": true, "": false, "a b": false, "a_b": false, "a:": false, "\u212a": false} {
		if ValidHeader(name) != want {
			t.Errorf("header %q", name)
		}
	}
	for name, want := range map[string]bool{"tenant_id": true, "user.tenant": true, "": false, "a[]": false, "a b": false, "\u00e4": false, strings.Repeat("a", 129): false} {
		if ValidParameter(name) != want {
			t.Errorf("parameter %q", name)
		}
	}
}

// FuzzQuery compares with net/url: what both can read has the same values.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"tenant_id=acme&org=b", "%74enant_id=a%20b+c", "tenant_id[]=x&tenant_id", "a=%zz", "a;b", "=&==&&", "ORG=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		var found, other Found
		if Query("/?"+query, tenant, agent, &found, &other) != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("%q is taken, and net/url refuses it: %v", query, err)
		}
		var want Found
		for name, list := range values {
			name, _, _ = strings.Cut(name, "[")
			if name = asciiLower(name); name == "tenant_id" || name == "org" {
				for _, v := range list {
					want.Add(v)
				}
			}
		}
		if found.any != want.any || found.differ != want.differ || !found.differ && found.first != want.first {
			t.Fatalf("%q: %+v, want %+v", query, found, want)
		}
	})
}

func asciiLower(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}
