package rights

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	p := &Policy{Required: []string{"care"}}
	for name, c := range map[string]struct {
		r    Refusal
		keep string // purposes for which memories are used all the same
	}{
		"nothing":  {Refusal{}, " care research sale"},
		"memory":   {Refusal{Withdrawn: []string{"memory"}}, "-"},
		"required": {Refusal{Withdrawn: []string{"care"}}, "-"},
		"another":  {Refusal{Withdrawn: []string{"research"}}, " care sale"},
		"no sale":  {Refusal{NoSale: true}, " care research"},
		"limited":  {Refusal{Limited: true}, ""},
	} {
		kept := []string{}
		for _, purpose := range []string{"", "care", "research", "sale"} {
			if !p.refuses(c.r, purpose) {
				kept = append(kept, purpose)
			}
		}
		if got := strings.Join(kept, " "); got != c.keep && !(c.keep == "-" && len(kept) == 0) {
			t.Errorf("%s: %q, want %q", name, got, c.keep)
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add(`{"kind":"memory","cursor":"m.1.2","memory":{"id":"a","version":1,"title":"t","content":"c","type":"fact","confidence":0.5,"status":"active","provenance":"observed","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}}`)
	f.Add("{\"kind\":\"end\",\"cursor\":\"\"}\n\n{")
	f.Add(`{"kind":"consent","cursor":"","consent":{"user_id":"u","purposes":{"memory":{"granted":false}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadLines(strings.NewReader(text), 10)
		if err != nil {
			if !errors.Is(err, ErrLine) {
				t.Fatal(err)
			}
			return
		}
		for _, l := range list {
			if l.check() != nil {
				continue
			}
			// What is taken can be written and read again.
			data, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ReadLines(strings.NewReader(string(data)), 1)
			if err != nil || len(again) != 1 || again[0].check() != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if l.Memory != nil && !reflect.DeepEqual(l.Memory.memory(), again[0].Memory.memory()) {
				t.Fatalf("%s", data)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("m.5.6")
	f.Add("a.-1.0")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePlace(text)
		if err != nil || text == "" {
			return
		}
		if q, err := parsePlace(p.String()); err != nil || q != p {
			t.Fatalf("%q: %+v, %+v, %v", text, p, q, err)
		}
	})
}
