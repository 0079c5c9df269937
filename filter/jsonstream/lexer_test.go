package jsonstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// read lexes the input, cut after each n bytes, or not at all for 0, and returns
// a canonical text of the events: parts of one string are joined.
func read(t testing.TB, opt Options, input []byte, n int) (string, error) {
	t.Helper()
	var l Lexer
	l.Reset(opt)
	var out strings.Builder
	raw := 0 // where the string or number that is being read has come to
	event := func(k Kind) {
		start, end := l.Span()
		if start < 0 || end > len(input) || start > end {
			t.Fatalf("span [%d,%d) of %d bytes", start, end, len(input))
		}
		switch k {
		case ObjectBegin, ObjectEnd, ArrayBegin, ArrayEnd, Line:
			if end != start+1 {
				t.Fatalf("structural span [%d,%d)", start, end)
			}
			out.WriteByte(input[start])
			return
		}
		if l.First() {
			out.WriteString(" k" + strconv.Itoa(int(k)) + "@" + strconv.Itoa(start) + ":")
		} else if start != raw {
			t.Fatalf("part at %d follows on %d", start, raw)
		}
		if l.Whole() != (l.First() && l.Last() && !l.Escaped()) {
			t.Fatal("Whole does not say what First, Last and Escaped do")
		}
		raw = end
		if l.Escaped() {
			decoded, size := Unescape(nil, append(bytes.Clone(input[start:end]), '"'))
			if size != end-start || !bytes.Equal(decoded, l.Text()) {
				t.Fatalf("escape %q is %q", input[start:end], l.Text())
			}
		} else if !bytes.Equal(input[start:end], l.Text()) {
			t.Fatalf("text %q is not %q", l.Text(), input[start:end])
		}
		if !opt.Lenient && !utf8.Valid(l.Text()) {
			t.Fatalf("text %q is not UTF-8", l.Text())
		}
		out.WriteString(string(l.Text()))
		if l.Last() {
			out.WriteString("$" + strconv.Itoa(end))
		}
	}
	if n == 0 {
		n = max(1, len(input))
	}
	fed := make([]byte, 0, n)
	for rest := input; len(rest) > 0; {
		m := min(n, len(rest))
		// The chunk before is overwritten: nothing may refer to it.
		for i := range fed {
			fed[i] = 0xff
		}
		fed = append(fed[:0], rest[:m]...)
		rest = rest[m:]
		l.Feed(fed)
		for {
			k := l.Next()
			if k == More {
				break
			}
			if k == Failed {
				if l.Next() != Failed || l.Finish() != Failed {
					t.Fatal("reads on after it failed")
				}
				return out.String() + " !" + strconv.Itoa(l.Offset()), l.Err()
			}
			event(k)
		}
	}
	for {
		k := l.Finish()
		if k == End {
			if l.Depth() != 0 {
				t.Fatalf("depth %d at the end", l.Depth())
			}
			return out.String(), nil
		}
		if k == Failed {
			return out.String() + " !" + strconv.Itoa(l.Offset()), l.Err()
		}
		event(k)
	}
}

// readAll lexes the input in every way to cut it evenly, and in one that has one
// cut, and wants the same of all.
func readAll(t testing.TB, opt Options, input []byte) (string, error) {
	t.Helper()
	want, wantErr := read(t, opt, input, 0)
	for _, n := range []int{1, 2, 3, 5, 7, 13} {
		if got, err := read(t, opt, input, n); got != want || err != wantErr {
			t.Fatalf("%q in pieces of %d:\n got %q, %v\nwant %q, %v", input, n, got, err, want, wantErr)
		}
	}
	return want, wantErr
}

func TestEvents(t *testing.T) {
	// k7 is a name, k8 a string, k9 a number and k10 a literal, each with its
	// span, "!" the offset of the fault.
	tests := []struct{ name, in, want string }{
		{"object", `{"a":"b"}`, `{ k7@2:a$3 k8@6:b$7}`},
		{"space", " {\t\"a\" :\r\n [ ] } ", `{ k7@4:a$5[]}`},
		{"nested", `[[],{},[{"a":[]}]]`, `[[]{}[{ k7@10:a$11[]}]]`},
		{"literals", `[true,false,null]`, `[ k10@1:true$5 k10@6:false$11 k10@12:null$16]`},
		{"numbers", `[0,-0,12,-1.50,1e5,2E-07,3.0e+1]`,
			`[ k9@1:0$2 k9@3:-0$5 k9@6:12$8 k9@9:-1.50$14 k9@15:1e5$18 k9@19:2E-07$24 k9@25:3.0e+1$31]`},
		{"top-level number", `42`, ` k9@0:42$2`},
		{"top-level string", `""`, ` k8@1:$1`},
		{"escapes", `"\"\\\/\b\f\n\r\t"`, " k8@1:\"\\/\b\f\n\r\t$17"},
		{"escapes between text", `"a\u0040b\u00e9c\u20acd\ud83d\ude00e"`, ` k8@1:a@béc€d😀e$36`},
		{"upper case hex", `"\u00C9\uD83D\uDE00"`, ` k8@1:É😀$19`},
		{"UTF-8", `"é€😀"`, ` k8@1:é€😀$10`},
		{"escaped name", `{"\u0061b":1}`, `{ k7@2:ab$9 k9@11:1$12}`},
		{"escaped NUL", `"\u0000"`, " k8@1:\x00$7"},
		{"DEL", "\"\x7f\"", " k8@1:\x7f$2"},
		{"long run", `"` + strings.Repeat("0123456789", 5) + `"`, ` k8@1:` + strings.Repeat("0123456789", 5) + `$51`},

		{"nothing", ``, ` !0`},
		{"space only", ` `, ` !1`},
		{"byte order mark", "\ufeff{}", ` !0`},
		{"trailing value", `{}{}`, `{} !2`},
		{"trailing comma", `[1,]`, `[ k9@1:1$2 !3`},
		{"trailing comma in object", `{"a":1,}`, `{ k7@2:a$3 k9@5:1$6 !7`},
		{"two commas", `[1,,2]`, `[ k9@1:1$2 !3`},
		{"no value", `{"a"}`, `{ k7@2:a$3 !4`},
		{"no name", `{1:2}`, `{ !1`},
		{"unquoted name", `{a:2}`, `{ !1`},
		{"wrong end", `[}`, `[ !1`},
		{"wrong end of object", `{]`, `{ !1`},
		{"end too much", `[]]`, `[] !2`},
		{"open array", `[1`, `[ k9@1:1$2 !2`},
		{"open string", `"a`, ` k8@1:a !2`},
		{"single quotes", `'a'`, ` !0`},
		{"comment", `/**/1`, ` !0`},
		{"leading zero", `01`, ` k9@0:0$1 !1`},
		{"plus", `+1`, ` !0`},
		{"minus alone", `-`, ` k9@0:- !1`},
		{"minus and letter", `-a`, ` k9@0:- !1`},
		{"minus twice", `--1`, ` k9@0:- !1`},
		{"no fraction", `1.`, ` k9@0:1. !2`},
		{"no fraction but exponent", `1.e1`, ` k9@0:1. !2`},
		{"no integer", `.5`, ` !0`},
		{"no exponent", `1e`, ` k9@0:1e !2`},
		{"no exponent digits", `1e+`, ` k9@0:1e+ !3`},
		{"hex", `0x1`, ` k9@0:0$1 !1`},
		{"NaN", `NaN`, ` !0`},
		{"Infinity", `-Infinity`, ` k9@0:- !1`},
		{"literal in capitals", `True`, ` !0`},
		{"literal cut off", `tru`, ` !0`},
		{"literal misspelt", `nulk`, ` !0`},
		{"literal too long", `nulll`, ` k10@0:null$4 !4`},
		{"control character", "\"a\nb\"", ` k8@1:a !2`},
		{"NUL", "\"\x00\"", ` !1`},
		{"NUL outside", "\x00", ` !0`},
		{"form feed as space", "\f1", ` !0`},
		{"no-break space", "\u00a01", ` !0`},
		{"unknown escape", `"ab\x"`, ` k8@1:ab !3`},
		{"escaped capital", `"\N"`, ` !1`},
		{"escape cut off", `"a\`, ` k8@1:a !2`},
		{"unicode escape cut off", `"a\u00`, ` k8@1:a !2`},
		{"unicode escape and quote", `"\u00"`, ` !1`},
		{"unicode escape no hex", `"\u00g0"`, ` !1`},
		{"high surrogate alone", `"a\ud83d"`, ` k8@1:a !2`},
		{"high surrogate and text", `"\ud83dx"`, ` !1`},
		{"high surrogate and escape", `"\ud83d\n"`, ` !1`},
		{"two high surrogates", `"\ud83d\ud83d\ude00"`, ` !1`},
		{"low surrogate alone", `"\ude00"`, ` !1`},
		{"pair cut off", `"\ud83d\ude`, ` !1`},
		{"bad UTF-8", "\"a\xffb\"", ` k8@1:a !2`},
		{"UTF-8 cut by the quote", "\"a\xe2\x82\"", ` k8@1:a !2`},
		{"UTF-8 cut by an escape", "\"a\xe2\x82\\n\"", ` k8@1:a !2`},
		{"UTF-8 cut by the end", "\"a\xe2\x82", ` k8@1:a !2`},
		{"overlong UTF-8", "\"\xc0\xaf\"", ` !1`},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", ` !1`},
		{"beyond Unicode", "\"\xf4\x90\x80\x80\"", ` !1`},
		{"bad UTF-8 in a name", "{\"\xff\":1}", `{ !2`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(t, Options{}, []byte(tt.in))
			if got != tt.want {
				t.Errorf("%q:\n got %q\nwant %q", tt.in, got, tt.want)
			}
			if (err != nil) != strings.Contains(tt.want, "!") || err != nil && err != ErrSyntax {
				t.Errorf("%q: error %v", tt.in, err)
			}
		})
	}
}

func TestLenient(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"control characters", "\"a\n\x00\tb\"", " k8@1:a\n\x00\tb$6"},
		{"control character before an escape", "\"\x01\\n\x02\"", " k8@1:\x01\n\x02$5"},
		{"bad UTF-8", "\"a\xffb\xe2\x82\"", " k8@1:a\xffb\xe2\x82$6"},
		{"high surrogate alone", `"\ud83d"`, ` k8@1:` + "\ufffd" + `$7`},
		{"high surrogate and text", `"\ud83dx"`, ` k8@1:` + "\ufffdx" + `$8`},
		{"high surrogate and escape", `"\ud83d\nx"`, ` k8@1:` + "\ufffd\nx" + `$10`},
		{"high surrogate and unicode escape", `"\ud83d\u0040"`, ` k8@1:` + "\ufffd@" + `$13`},
		{"two high surrogates", `"\ud83d\ud83d\ude00"`, ` k8@1:` + "\ufffd😀" + `$19`},
		{"high surrogate and escape at the end", `"\ud83d\n`, ` k8@1:` + "\ufffd\n" + ` !9`},
		{"high surrogate and unicode escape at the end", `"\ud83d\u0040`, ` k8@1:` + "\ufffd@" + ` !13`},
		{"high surrogate and bad escape", `"\ud83d\x"`, ` k8@1:` + "\ufffd" + ` !7`},
		{"low surrogate alone", `"\ude00\ud83d"`, ` k8@1:` + "\ufffd\ufffd" + `$13`},
		{"bad UTF-8 outside", "\xff", ` !0`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := readAll(t, Options{Lenient: true}, []byte(tt.in)); got != tt.want {
				t.Errorf("%q:\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"lines", "{}\n[1]\n", "{}\n[ k9@4:1$5]\n"},
		{"no line feed at the end", "1\n2", " k9@0:1$1\n k9@2:2$3"},
		{"empty lines", "\n\r\n1\r\n \n", "\n\n k9@3:1$4\n\n"},
		{"two values", "1 2\n", " k9@0:1$1 !2"},
		{"line feed inside", "[\n1]\n", "[ !1"},
		{"line feed behind a colon", "{\"a\":\n1}", "{ k7@2:a$3 !5"},
		{"line feed in a string", "\"\n\"", " !1"},
		{"open at the end", "1\n[", " k9@0:1$1\n[ !3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := readAll(t, Options{Lines: true}, []byte(tt.in)); got != tt.want {
				t.Errorf("%q:\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestNextLine(t *testing.T) {
	var l Lexer
	l.Reset(Options{Lines: true})
	l.Feed([]byte("[1,}"))
	for k := l.Next(); k != Failed; k = l.Next() {
	}
	l.NextLine(10)
	l.Feed([]byte("true"))
	if k := l.Next(); k != Literal {
		t.Fatalf("kind %d", k)
	}
	if start, end := l.Span(); start != 10 || end != 14 {
		t.Errorf("span [%d,%d)", start, end)
	}
	if k := l.Finish(); k != End || l.Err() != nil {
		t.Errorf("kind %d, %v", k, l.Err())
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(strings.Repeat(`[`, n) + strings.Repeat(`]`, n))
	}
	mixed := []byte(strings.Repeat(`{"a":[`, 100) + strings.Repeat(`]}`, 100))
	tests := []struct {
		name string
		in   []byte
		max  int
		want error
	}{
		{"at the limit", nested(3), 3, nil},
		{"over it", nested(4), 3, ErrDepth},
		{"scalar", []byte("1"), 1, nil},
		{"siblings", []byte(`[[],[],[]]`), 2, nil},
		{"mixed", mixed, 200, nil},
		{"mixed over", mixed, 199, ErrDepth},
		{"hard limit", nested(MaxDepth), 0, nil},
		{"over the hard limit", nested(MaxDepth + 1), 0, ErrDepth},
		{"over the hard limit, whatever is asked", nested(MaxDepth + 1), MaxDepth + 9, ErrDepth},
		{"endless", bytes.Repeat([]byte("["), 100_000), 64, ErrDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readAll(t, Options{MaxDepth: tt.max}, tt.in); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPendingAfterFailure(t *testing.T) {
	// What was read of a split escape or literal can be read in another way.
	tests := []struct{ first, second, pending string }{
		{`"ab\u00`, `zz"`, `\u00z`},
		{`[tr`, `x]`, `tr`},
		{`[`, `trx]`, `tr`},
		{"\"a\xe2", "b\"", "\xe2b"},
		{`"\q`, ``, ``},
	}
	for _, tt := range tests {
		var l Lexer
		l.Reset(Options{})
		for _, chunk := range []string{tt.first, tt.second} {
			l.Feed([]byte(chunk))
			for k := l.Next(); k != More && k != Failed; k = l.Next() {
			}
		}
		whole := tt.first + tt.second
		if l.Err() == nil || string(l.Pending()) != tt.pending || !strings.HasPrefix(whole[l.Offset():], tt.pending) {
			t.Errorf("%q: pending %q at %d, %v", whole, l.Pending(), l.Offset(), l.Err())
		}
	}
}

func TestNoAllocation(t *testing.T) {
	input := []byte(`{"a":["b\u00e9c",1.5e3,true,{"é":null}]}`)
	var l Lexer
	got := testing.AllocsPerRun(100, func() {
		l.Reset(Options{})
		for i := range input {
			l.Feed(input[i : i+1])
			for l.Next() != More {
			}
		}
		if l.Finish() != End {
			t.Fatal(l.Err())
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// validOracle is encoding/json, less what it takes and this package does not.
func validOracle(input []byte) bool {
	return json.Valid(input) && utf8.Valid(input) && !loneSurrogate(input)
}

// loneSurrogate reports whether valid JSON has half a surrogate pair. Each such
// half is decoded to U+FFFD, and a lone one to it too.
func loneSurrogate(input []byte) bool {
	for i := 0; i+5 < len(input); i++ {
		if input[i] != '\\' {
			continue
		}
		if input[i+1] != 'u' {
			i++
			continue
		}
		u, err := strconv.ParseUint(string(input[i+2:i+6]), 16, 16)
		if err != nil {
			continue
		}
		i += 5
		if u < 0xd800 || u > 0xdfff {
			continue
		}
		if u >= 0xdc00 || i+6 >= len(input) || input[i+1] != '\\' || input[i+2] != 'u' {
			return true
		}
		low, err := strconv.ParseUint(string(input[i+3:i+7]), 16, 16)
		if err != nil || low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 6
	}
	return false
}

var seeds = []string{
	`{"a":"b","c":[1,-2.5e+3,true,false,null,{"d":{}}]}`, `"\u0040\ud83d\ude00\/\\"`, `"\ud83d"`, `"\ud83d\ud83d\ude00"`,
	"\"\xff\"", "\"\xe2\x82\xac\"", "\"\xe2\x82\"", `[[[[]]]]`, `{"a":1,"a":2}`, ` 0 `, `-`, `01`, `1.e1`, `tru`, `nulll`, "\ufeff{}",
	"1\n{\"a\":\n1}\n", "\n\r\n[]\r\n", "\"a\tb\"", `"` + strings.Repeat("x", 70) + `\n"`, `{"":""}`, `[1,]`, `{,}`, `"\u00"`,
}

func FuzzValid(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, n uint8) {
		got, err := read(t, Options{}, input, 0)
		if (err == nil) != validOracle(input) && err != ErrDepth {
			t.Fatalf("%q: %v, encoding/json says %v", input, err, validOracle(input))
		}
		split, splitErr := read(t, Options{}, input, int(n)+1)
		if split != got || splitErr != err {
			t.Fatalf("%q in pieces of %d:\n got %q, %v\nwant %q, %v", input, n+1, split, splitErr, got, err)
		}
		if err != nil {
			return
		}
		// What is decoded is what encoding/json decodes.
		var s string
		if len(input) > 0 && json.Unmarshal(input, &s) == nil && !strings.Contains(got, "k10") && got[0] == ' ' && got[2] == '8' {
			text := got[strings.IndexByte(got, ':')+1 : strings.LastIndexByte(got, '$')]
			if text != s {
				t.Fatalf("%q is %q, encoding/json says %q", input, text, s)
			}
		}
	})
}

func FuzzModes(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), uint8(3), true, false)
		f.Add([]byte(s), uint8(1), true, true)
	}
	f.Fuzz(func(t *testing.T, input []byte, n uint8, lines, lenient bool) {
		opt := Options{MaxDepth: 16, Lines: lines, Lenient: lenient}
		got, err := read(t, opt, input, 0)
		split, splitErr := read(t, opt, input, int(n)+1)
		if split != got || splitErr != err {
			t.Fatalf("%q in pieces of %d:\n got %q, %v\nwant %q, %v", input, n+1, split, splitErr, got, err)
		}
		_, strict := read(t, Options{MaxDepth: 16, Lines: lines}, input, 0)
		if strict == nil && err != nil {
			t.Fatalf("%q: valid, but not when lenient: %v", input, err)
		}
		if lines && !lenient && err != ErrDepth {
			valid := true
			for _, line := range bytes.Split(input, []byte("\n")) {
				if len(bytes.Trim(line, " \t\r")) > 0 && !validOracle(line) {
					valid = false
				}
			}
			if (err == nil) != valid {
				t.Fatalf("%q as lines: %v, encoding/json says %v", input, err, valid)
			}
		}
	})
}

// BenchmarkLexer: compare with
//
//	go test -run '^$' -bench Lexer -count 6 ./filter/jsonstream | tee new && benchstat old new
func BenchmarkLexer(b *testing.B) {
	record := `{"content":"` + strings.Repeat("The user prefers short answers. ", 12) + `","tags":["a","b"],"n":0.92,"ok":true,"meta":{"id":41}},`
	for name, input := range map[string]string{
		"records": "[" + strings.Repeat(record, 2000) + "0]",
		"escapes": `"` + strings.Repeat(`line\n\u00e9 `, 60_000) + `"`,
		"greek":   `"` + strings.Repeat("Η μνήμη του χρήστη. ", 30_000) + `"`,
		"numbers": "[" + strings.Repeat("12,3.25,1048576,-7,", 50_000) + "0]",
	} {
		b.Run(name, func(b *testing.B) {
			in := []byte(input)
			var l Lexer
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				l.Reset(Options{})
				l.Feed(in)
				for l.Next() != More {
				}
				if l.Finish() != End {
					b.Fatal(l.Err())
				}
			}
		})
	}
}
