package jsonstream

import (
	"slices"
	"strings"
	"testing"
)

// follow returns for each value of the input that has a path that path, in order.
func follow(t *testing.T, paths []string, input string) []string {
	t.Helper()
	var l Lexer
	var at Tracker
	l.Reset(Options{})
	at.Reset(NewPaths(paths))
	var found []string
	value := func() {
		if i := at.Value(); i >= 0 {
			found = append(found, paths[i])
		}
	}
	feed := func(chunk string) {
		l.Feed([]byte(chunk))
		for {
			switch k := l.Next(); k {
			case More:
				return
			case ObjectBegin, ArrayBegin:
				value()
				at.Open(k == ObjectBegin)
			case ObjectEnd, ArrayEnd:
				at.Close()
			case Key:
				at.Name(l.Text(), l.Last())
			case Failed:
				t.Fatalf("%q: %v", input, l.Err())
			default:
				if l.First() {
					value()
				}
			}
		}
	}
	feed(input)
	whole := found
	found = nil
	l.Reset(Options{})
	at.Reset(at.paths)
	for i := range len(input) {
		feed(input[i : i+1])
	}
	if !slices.Equal(whole, found) {
		t.Fatalf("%q: %q, and by bytes %q", input, whole, found)
	}
	return whole
}

func TestTracker(t *testing.T) {
	tests := []struct {
		name  string
		paths []string
		in    string
		want  []string
	}{
		{"member", []string{"content"}, `{"content":1}`, []string{"content"}},
		{"other members", []string{"content"}, `{"contents":1,"conten":2,"":3,"x":{"content":4}}`, nil},
		{"twice", []string{"content"}, `{"content":1,"content":2}`, []string{"content", "content"}},
		{"deep", []string{"a.b.c"}, `{"a":{"b":{"c":1}},"b":{"c":2},"c":3}`, []string{"a.b.c"}},
		{"elements", []string{"messages[].content"}, `{"messages":[{"content":1},{"x":0,"content":2},[{"content":3}]]}`,
			[]string{"messages[].content", "messages[].content"}},
		{"not an array", []string{"messages[].content"}, `{"messages":{"content":1}}`, nil},
		{"not an object", []string{"a.b"}, `{"a":[{"b":1}]}`, nil},
		{"array and its elements", []string{"tags", "tags[]"}, `{"tags":["a","b"]}`, []string{"tags", "tags[]", "tags[]"}},
		{"both kinds", []string{"a[]", "a.b"}, `{"a":[1],"a":{"b":2}}`, []string{"a[]", "a.b"}},
		{"root array", []string{"[].id"}, `[{"id":1},{"id":2}]`, []string{"[].id", "[].id"}},
		{"nested arrays", []string{"m[][]"}, `{"m":[[1],[2],3]}`, []string{"m[][]", "m[][]"}},
		{"root", []string{""}, `{"a":1}`, []string{""}},
		{"escaped", []string{"content"}, `{"cont\u0065nt":1}`, []string{"content"}},
		{"beyond ASCII", []string{"größe"}, `{"gr\u00f6ße":1,"GRÖSSE":2}`, []string{"größe"}},
		{"case", []string{"content"}, `{"Content":1,"CONTENT":2}`, []string{"content", "content"}},
		{"exact case wins", []string{"id", "ID"}, `{"ID":1,"id":2,"Id":3}`, []string{"ID", "id", "id"}},
		{"case of no letters", []string{"a@", "b["}, "{\"a`\":1,\"b{\":2}", nil},
		{"signs that fold to letters", []string{"tokens"}, `{"to` + "\u212a" + `en\u017f":1}`, []string{"tokens"}},
		{"back up", []string{"a.b", "c"}, `{"a":{"x":{"b":0},"b":1},"c":2}`, []string{"a.b", "c"}},
		{"siblings of lost ones", []string{"a[].b"}, `{"x":[[{"b":1}]],"a":[[{"b":1}],{"b":2}]}`, []string{"a[].b"}},
		{"dots", []string{"a..b"}, `{"a":{"":{"b":1}}}`, []string{"a..b"}},
		{"names of brackets", []string{"a[]b"}, `{"a[]b":1}`, []string{"a[]b"}},
		{"long name", []string{"a"}, `{"` + strings.Repeat("a", 1000) + `":1}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := follow(t, tt.paths, tt.in)
			if tt.name == "exact case wins" {
				// Which of two that differ in case takes a third is not said.
				got, tt.want = got[:2], tt.want[:2]
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTrackerKeepsNoMoreLevelsThanPaths(t *testing.T) {
	var at Tracker
	at.Reset(NewPaths([]string{"a.b"}))
	got := testing.AllocsPerRun(10, func() {
		at.Reset(at.paths)
		for range 1000 {
			at.Open(true)
			at.Name([]byte("a"), true)
		}
		for range 1000 {
			at.Close()
		}
	})
	if got != 0 || cap(at.open) != 2 {
		t.Errorf("%v allocations, %d levels", got, cap(at.open))
	}
}
