package verdict

import (
	"reflect"
	"strings"
	"testing"
)

var (
	filters = []Filter{
		{},
		{Content: strings.Repeat("a", 64), RequestID: "id"},
		{Content: "c", RequestID: "id", Tenant: "acme", Agent: "1:x", HashKey: "k", PseudonymKeys: "a,b", Reveal: true},
	}
	logs = []Log{
		{},
		{Decision: "deny"},
		{
			RequestID: "id", Tenant: "acme", Subject: "sübject 1:x", Kind: "jwt", Principal: "p", Decision: "allow", Stage: "allow", Reason: "allowed",
			Spoofed: "txn-token,x-memgate-a", Shadow: "access:condition", Lease: "key id",
		},
	}
)

func TestRoundTrip(t *testing.T) {
	for _, f := range filters {
		if got, ok := ParseFilter(string(f.Append(nil))); !ok || got != f {
			t.Errorf("%+v is read as %+v, %v", f, got, ok)
		}
	}
	for _, l := range logs {
		if got, ok := ParseLog(string(l.Append(nil))); !ok || got != l {
			t.Errorf("%+v is read as %+v, %v", l, got, ok)
		}
	}
	// A value that is forgotten would be lost without a word.
	v := reflect.ValueOf(logs[2])
	for i := range v.NumField() {
		if v.Field(i).String() == "" {
			t.Errorf("no %s", v.Type().Field(i).Name)
		}
	}
}

func TestRefused(t *testing.T) {
	good := string(filters[2].Append(nil))
	for _, text := range []string{
		"", "1", "2" + good[1:], good + "0:", good[:len(good)-1], good[:len(good)-3], "1" + good[2:], "x",
		strings.Replace(good, "1:c", "01:c", 1), strings.Replace(good, "1:c", "1c", 1), strings.Replace(good, "1:c", "99999999999999999999:c", 1),
		strings.Replace(good, "1:c", "-1:c", 1), good[:len(good)-1] + "2", string(logs[2].Append(nil)),
	} {
		if f, ok := ParseFilter(text); ok || f != (Filter{}) {
			t.Errorf("%q is read as %+v", text, f)
		}
	}
	for cut := range good {
		if _, ok := ParseFilter(good[:cut]); ok {
			t.Errorf("%q is read", good[:cut])
		}
	}
	if l, ok := ParseLog(good); ok || l != (Log{}) {
		t.Errorf("a filter's text is read as a log's: %+v", l)
	}
}

// What is read was written: there is one text for each meaning.
func FuzzParse(f *testing.F) {
	for i := range filters {
		f.Add(string(filters[i].Append(nil)))
		f.Add(string(logs[i].Append(nil)))
	}
	f.Add("11:a0:")
	f.Fuzz(func(t *testing.T, text string) {
		if v, ok := ParseFilter(text); ok && string(v.Append(nil)) != text {
			t.Errorf("%q is read as %+v", text, v)
		}
		if v, ok := ParseLog(text); ok && string(v.Append(nil)) != text {
			t.Errorf("%q is read as %+v", text, v)
		}
	})
}
