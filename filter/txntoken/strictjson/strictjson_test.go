package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"` + strconv.Itoa(i) + `":1`)
		}
		return "{" + b.String()[1:] + "}"
	}
	tests := []struct {
		name, in string
		err      error
	}{
		{"empty object", "{}", nil},
		{"white space", " \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n", nil},
		{"all kinds", `{"s":"x","n":-1.5e+3,"o":{"a":{}},"a":[[],{}],"t":true,"f":false,"z":null}`, nil},
		{"same name at different depths", `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`, nil},
		{"surrogate pair", `{"a":"\ud83d\ude00"}`, nil},
		{"deepest allowed", `{"a":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + "}", nil},
		{"most members allowed", many(MaxMembers), nil},

		{"nothing", "", ErrSyntax},
		{"array", `["a"]`, ErrNotObject},
		{"string", `"a"`, ErrNotObject},
		{"null", `null`, ErrNotObject},
		{"trailing value", `{}{}`, ErrSyntax},
		{"trailing comma", `{"a":1,}`, ErrSyntax},
		{"leading comma", `{,"a":1}`, ErrSyntax},
		{"no colon", `{"a" 1}`, ErrSyntax},
		{"no value", `{"a":}`, ErrSyntax},
		{"open", `{"a":1`, ErrSyntax},
		{"comment", `{/**/"a":1}`, ErrSyntax},
		{"single quotes", `{'a':1}`, ErrSyntax},
		{"leading zero", `{"a":01}`, ErrSyntax},
		{"leading plus", `{"a":+1}`, ErrSyntax},
		{"bare point", `{"a":1.}`, ErrSyntax},
		{"bare exponent", `{"a":1e}`, ErrSyntax},
		{"infinity", `{"a":Infinity}`, ErrSyntax},
		{"control character", "{\"a\":\"\x01\"}", ErrSyntax},
		{"line feed in a string", "{\"a\":\"\n\"}", ErrSyntax},
		{"unknown escape", `{"a":"\x"}`, ErrSyntax},
		{"short escape", `{"a":"\u12"}`, ErrSyntax},
		{"lone high surrogate", `{"a":"\ud83d"}`, ErrSyntax},
		{"lone low surrogate", `{"a":"\ude00"}`, ErrSyntax},
		{"two high surrogates", `{"a":"\ud83d\ud83d"}`, ErrSyntax},
		{"not UTF-8", "{\"a\":\"\xff\"}", ErrSyntax},
		{"not UTF-8 in a name", "{\"\xff\":1}", ErrSyntax},
		{"byte order mark", "\ufeff{}", ErrSyntax},
		{"true misspelt", `{"a":tru}`, ErrSyntax},
		{"duplicate", `{"a":1,"a":2}`, ErrDuplicate},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, ErrDuplicate},
		{"duplicate within", `{"x":{"a":1,"b":{"a":1},"a":2}}`, ErrDuplicate},
		{"duplicate within an array", `{"x":[{"a":1,"a":2}]}`, ErrDuplicate},
		{"too deep", `{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + "}", ErrTooDeep},
		{"too many", many(MaxMembers + 1), ErrTooMany},
		{"too many within", `{"a":` + many(MaxMembers+1) + `}`, ErrTooMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Members(nil, []byte(tt.in)); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

func TestValues(t *testing.T) {
	m, err := Members(nil, []byte(`{"s":"a\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00z","i":1777636830,"f":1777636830.9,"e":1.5e9,"neg":-1,"big":1e300,
		"o":{"k":"v"},"a":["x",1,{"y":2}],"n":null}`))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := Lookup(m, "s").Text(); !ok || s != "a\"\\/\b\f\n\r\t\u00e4\U0001F600z" {
		t.Errorf("text %q %v", s, ok)
	}
	for name, want := range map[string]int64{"i": 1777636830, "f": 1777636830, "e": 1500000000} {
		if n, ok := Lookup(m, name).Seconds(); !ok || n != want {
			t.Errorf("%s: %d %v", name, n, ok)
		}
	}
	for _, name := range []string{"neg", "big", "s", "n", "absent"} {
		if n, ok := Lookup(m, name).Seconds(); ok {
			t.Errorf("%s is no date, got %d", name, n)
		}
	}
	if _, ok := Lookup(m, "i").Text(); ok {
		t.Error("a number is no text")
	}
	o, ok := Lookup(m, "o").Members(nil)
	if !ok || !Lookup(o, "k").Equals("v") || Lookup(o, "k").Equals("w") {
		t.Errorf("object %v", o)
	}
	a, ok := Lookup(m, "a").Elements(nil)
	if !ok || len(a) != 3 || !a[0].Equals("x") || a[1].Kind() != Number || a[2].Kind() != Object {
		t.Errorf("array %v", a)
	}
	if Lookup(m, "absent").Kind() != Absent || Lookup(m, "n").Kind() != Null {
		t.Error("absent and null are different")
	}
}

// FuzzMembers holds the parser against encoding/json: whatever is accepted here must be
// accepted there with the same members and texts.
func FuzzMembers(f *testing.F) {
	f.Add(`{"a":"\u00e4\ud83d\ude00","b":[1,2.5e3,{"c":null}],"d":true}`)
	f.Add(`{"a":1,"\u0061":2}`)
	f.Add(`{"a":{"b":[[[]]]}}`)
	f.Fuzz(func(t *testing.T, in string) {
		m, err := Members(nil, []byte(in))
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatalf("accepted %q: %v", in, err)
		}
		if len(m) != len(want) {
			t.Fatalf("%d members of %q, want %d", len(m), in, len(want))
		}
		for _, x := range m {
			w, ok := want[string(x.Name)]
			if !ok {
				t.Fatalf("no member %q in %q", x.Name, in)
			}
			switch x.Value.Kind() {
			case String:
				if s, _ := x.Value.Text(); s != w {
					t.Fatalf("%q, want %q", s, w)
				}
			case Object:
				sub, ok := x.Value.Members(nil)
				if wo, isObject := w.(map[string]any); !ok || !isObject || len(sub) != len(wo) {
					t.Fatalf("object %q", x.Name)
				}
			case Array:
				sub, ok := x.Value.Elements(nil)
				if wa, isArray := w.([]any); !ok || !isArray || len(sub) != len(wa) {
					t.Fatalf("array %q", x.Name)
				}
			case Null:
				if w != nil {
					t.Fatalf("null %q", x.Name)
				}
			case Bool, Number:
				if k := reflect.TypeOf(w).Kind(); k != reflect.Bool && k != reflect.Float64 {
					t.Fatalf("%q is %v", x.Name, k)
				}
			case Absent:
				t.Fatalf("absent %q", x.Name)
			}
		}
	})
}
