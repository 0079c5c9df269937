package pii

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// ofCaller runs a body through a rewriter in pieces of n bytes, as that of a caller.
func ofCaller(r *Rewriter, body string, n int) (out []byte, err error) {
	r.Expect(0, "acme")
	r.Expect(1, "helper")
	for at := 0; at < len(body) && err == nil; at += n {
		out, err = r.Write(out, []byte(body[at:min(at+n, len(body))]))
	}
	if err == nil {
		out, err = r.Close(out)
	}
	return out, err
}

// mismatch runs a body through a rewriter in pieces of n bytes, and returns the group
// that differs, or -1.
func mismatch(t testing.TB, r *Rewriter, body string, n int) (int, error) {
	t.Helper()
	r.Reset()
	out, err := ofCaller(r, body, n)
	var m *MismatchError
	if errors.As(err, &m) {
		note(t, r.cfg, body, n, m.Group)
		return m.Group, nil
	}
	if err == nil {
		note(t, r.cfg, body, n, -1)
	}
	if err == nil && string(out) != body {
		t.Fatalf("%q became %q", body, out)
	}
	return -1, err
}

// note checks that a body whose first difference is one of the group, or -1, goes on as it
// came where that is noted alone, and that the rewriter tells of it.
func note(t testing.TB, cfg Config, body string, n, group int) {
	t.Helper()
	cfg.Noted = [MaxNamed]bool{true, true}
	r := NewRewriter(cfg)
	for range 2 { // on the same rewriter, too
		r.Reset()
		if r.Differs(0) || r.Differs(1) {
			t.Fatal("a body differs that was not read")
		}
		out, err := ofCaller(r, body, n)
		var m *MismatchError
		if errors.As(err, &m) || err == nil && string(out) != body {
			t.Fatalf("%q became %q, %v", body, out, err)
		}
		if group >= 0 && !r.Differs(group) || group < 0 && (r.Differs(0) || r.Differs(1)) {
			t.Fatalf("%q: %v and %v differ, want group %d", body, r.Differs(0), r.Differs(1), group)
		}
	}
}

var namedPaths = [][]string{{"tenant_id", "metadata.tenant", "items[].tenant"}, {"agent_id"}}

func TestNamed(t *testing.T) {
	const none, tenant, agent = -1, 0, 1
	for _, tt := range []struct {
		body string
		want int
	}{
		{`{}`, none},
		{`{"tenant_id":"acme","agent_id":"helper"}`, none},
		{`{"tenant_id":"acme","metadata":{"tenant":"acme"},"items":[{"tenant":"acme"},{}]}`, none},
		{`{"tenant_id":"other"}`, tenant},
		{`{"tenant_id":"Acme"}`, tenant},
		{`{"tenant_id":"acm"}`, tenant},
		{`{"tenant_id":"acme2"}`, tenant},
		{`{"tenant_id":"acme "}`, tenant},
		{`{"tenant_id":""}`, tenant},
		{`{"tenant_id":null}`, none},
		{`{"tenant_id":true}`, tenant},
		{`{"tenant_id":7}`, tenant},
		{`{"tenant_id":["acme"]}`, tenant},
		{`{"tenant_id":{"id":"acme"}}`, tenant},
		{`{"tenant_id":[]}`, tenant},
		// Each of several counts: services differ in which one they take.
		{`{"tenant_id":"acme","tenant_id":"acme"}`, none},
		{`{"tenant_id":"acme","tenant_id":"other"}`, tenant},
		{`{"tenant_id":"other","tenant_id":"acme"}`, tenant},
		{`{"tenant_id":"acme","Tenant_ID":"other"}`, tenant},
		{`{"metadata":{},"metadata":{"tenant":"other"}}`, tenant},
		// A name is what it decodes to.
		{`{"\u0074enant_id":"other"}`, tenant},
		{`{"tenant\u005fid":"other"}`, tenant},
		{`{"tenant_id":"\u0061cme"}`, none},
		{`{"tenant_id":"acme\u0000"}`, tenant},
		{`{"tenant_id":"ac\/me"}`, tenant},
		// Elsewhere it is another member.
		{`{"x":{"tenant_id":"other"},"tenant":"other","tenant_id2":"other"," tenant_id":"other"}`, none},
		{`[{"tenant_id":"other"}]`, none},
		{`{"metadata":[{"tenant":"other"}]}`, none},
		{`{"items":[{"tenant":"acme"},{"tenant":"other"}]}`, tenant},
		{`{"items":{"tenant":"other"}}`, none},
		{`{"agent_id":"other"}`, agent},
		{`{"agent_id":"other","tenant_id":"other"}`, agent},
		{`"tenant_id"`, none},
	} {
		r := NewRewriter(Config{Format: JSON, Named: namedPaths})
		for n := 1; n <= len(tt.body); n++ {
			if got, err := mismatch(t, r, tt.body, n); got != tt.want || err != nil {
				t.Errorf("%s in pieces of %d: group %d, %v", tt.body, n, got, err)
			}
		}
	}
}

func TestNamedInLines(t *testing.T) {
	r := NewRewriter(Config{Format: NDJSON, Named: namedPaths})
	for body, want := range map[string]int{
		"{\"tenant_id\":\"acme\"}\n{\"agent_id\":\"helper\"}\n":  -1,
		"{\"tenant_id\":\"acme\"}\n{\"tenant_id\":\"other\"}\n":  0,
		"{\"a\":1}\n\n{\"agent_id\":3}":                          1,
		"{\"metadata\":{\"x\":1}}\n{\"tenant\":\"other\"}\n1\n2": -1,
	} {
		for n := 1; n <= len(body); n++ {
			if got, err := mismatch(t, r, body, n); got != want || err != nil {
				t.Errorf("%q in pieces of %d: group %d, %v", body, n, got, err)
			}
		}
	}
}

func TestNamedInForms(t *testing.T) {
	r := NewRewriter(Config{Format: Form, Named: namedPaths})
	for body, want := range map[string]int{
		"":                                     -1,
		"tenant_id=acme&agent_id=helper":       -1,
		"a=b&tenant_id=acme&c":                 -1,
		"tenant_id=other":                      0,
		"tenant_id=acme&tenant_id=other":       0,
		"tenant_id=other&tenant_id=acme":       0,
		"TENANT_ID=other":                      0,
		"tenant_id=":                           0,
		"tenant_id":                            0,
		"tenant_id&a=b":                        0,
		"%74enant_id=other":                    0,
		"tenant_id=%61cme":                     -1,
		"tenant_id=ac%6De&x=%":                 -1,
		"tenant_id=acme+":                      0,
		"tenant_id=acme=":                      0,
		"tenant_id[]=acme":                     -1,
		"tenant_id[]=acme&tenant_id[1]=other":  0,
		"tenant_id%5B0%5D=other":               0,
		"xtenant_id=other&x[tenant_id]=other":  -1,
		"agent_id=helper&tenant_idx=1&=&==&&x": -1,
		"agent_id=help":                        1,
	} {
		for n := 1; n <= max(1, len(body)); n++ {
			if got, err := mismatch(t, r, body, n); got != want || err != nil {
				t.Errorf("%q in pieces of %d: group %d, %v", body, n, got, err)
			}
		}
	}
}

// What is expected holds for one body: the next one on the same rewriter names whom it
// likes, until it is said again.
func TestNamedForgets(t *testing.T) {
	r := NewRewriter(Config{Format: JSON, Named: namedPaths})
	body := []byte(`{"tenant_id":"other"}`)
	r.Expect(0, "acme")
	if _, err := r.Write(nil, body); err == nil {
		t.Fatal("passed")
	}
	r.Reset()
	if _, err := r.Write(nil, body); err != nil {
		t.Fatal(err)
	}
}

// What is blocked in front of a member that differs is found first, whatever the pieces.
func TestNamedBehindBlocked(t *testing.T) {
	cfg := Config{Format: JSON, Named: namedPaths}
	cfg.Policy.Actions[EmailAddress] = Block
	r := NewRewriter(cfg)
	body := `{"a":"jane@example.com ","tenant_id":"other"}`
	for n := 1; n <= len(body); n++ {
		var blocked *BlockedError
		if _, err := mismatch(t, r, body, n); !errors.As(err, &blocked) {
			t.Errorf("in pieces of %d: %v", n, err)
		}
	}
}

// FuzzNamed compares with what encoding/json reads.
func FuzzNamed(f *testing.F) {
	for _, s := range []string{
		`{"tenant_id":"acme"}`, `{"tenant_id":"acme","tenant_id":"x"}`, `{"TENANT_ID":null,"agent_id":1}`,
		`{"metadata":{"\u0074enant":"acme"}}`, `{"items":[{"tenant":[]},[{"tenant":"x"}]]}`, `{"items":[null,{"tenant":"acm\u0065"}]}`,
		"{\"metadata\":{\"\u017f\":1,\"tenant\":{}}}", `[{"tenant_id":"x"}]`, `{"agent_id":"helper","x":{"agent_id":"y"}}`,
	} {
		f.Add(s, 3)
	}
	r := NewRewriter(Config{Format: JSON, Named: namedPaths})
	f.Fuzz(func(t *testing.T, body string, n int) {
		if n <= 0 || !utf8.ValidString(body) || !json.Valid([]byte(body)) {
			return
		}
		got, err := mismatch(t, r, body, n)
		if err != nil {
			return // what Go takes and RFC 8259 or the depth does not
		}
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if want := oracle(t, d, ""); got != want {
			t.Fatalf("%q: group %d, want %d", body, got, want)
		}
	})
}

// oracle reads a value at a path and returns the group of the first member that differs.
func oracle(t *testing.T, d *json.Decoder, path string) int {
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	group := -1
	for g, paths := range namedPaths {
		for _, p := range paths {
			if p == path {
				group = g
			}
		}
	}
	open, container := token.(json.Delim)
	switch {
	case !container:
		if group < 0 || token == nil || token == [...]string{"acme", "helper"}[group] {
			return -1
		}
		return group
	case group >= 0:
		return group
	}
	for d.More() {
		child := path + "[]"
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			child = name.(string)
			for _, known := range []string{"tenant_id", "metadata", "items", "agent_id", "tenant"} {
				if strings.EqualFold(known, child) {
					child = known
				}
			}
			if child == "" || strings.ContainsAny(child, ".[") {
				child = "\x00" // a name of its own, and no path
			}
			if path != "" {
				child = path + "." + child
			}
		}
		if got := oracle(t, d, child); got >= 0 {
			return got
		}
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	return -1
}
