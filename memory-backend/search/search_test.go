package search

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func collect(text string) []string {
	var got []string
	Terms(text, func(t string) bool { got = append(got, t); return true })
	return got
}

func TestTerms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"The cats were running", "cat run"},
		{"Alice's favourite café isn't Bob’s", "alic favourit cafe bob"},
		{"don't DON’T", ""},
		{"running runs runner", "run run runner"},
		{"2026-05-07 7 May 2026", "2026 5 7 7 may 2026"},
		{"a@example.com [EMAIL_ADDRESS]", "exampl com email address"},
		{"日本語です x", "日本 本語 語で です x"},
		{"猫", "猫"},
		{"ﬁne ＦＵＬＬ", "fine full"},
		{`"quoted" AND (x OR y) NEAR/3 col:term* -not ^a "`, "quot x y near 3 col term"},
		{"naïve Ünïcode", "naiv unicod"},
		{"who are you?", ""},
	} {
		if got := strings.Join(collect(c.text), " "); got != c.want {
			t.Errorf("Terms(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestTermsStopsWhenTold(t *testing.T) {
	n := 0
	Terms("alpha beta 日本語 gamma", func(string) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("yield was called %d times, want 3", n)
	}
}

func TestQueryIsBoundedAndUnique(t *testing.T) {
	var b strings.Builder
	for i := 0; i < 200; i++ {
		b.WriteString("w" + strconv.Itoa(i%100) + " ")
	}
	terms := Query(b.String())
	if len(terms) != maxQueryTerms {
		t.Errorf("%d terms, want %d", len(terms), maxQueryTerms)
	}
	seen := map[string]bool{}
	for _, term := range terms {
		if seen[term] {
			t.Errorf("%q occurs twice", term)
		}
		seen[term] = true
	}
}

func TestDocumentCounts(t *testing.T) {
	counts, n := Document("Cats and dogs; a cat, the dog, one cat")
	want := map[string]int{"cat": 3, "dog": 2, "one": 1}
	if !reflect.DeepEqual(counts, want) || n != 6 {
		t.Errorf("got %v, %d", counts, n)
	}
}

func FuzzTerms(f *testing.F) {
	for _, s := range []string{"", "plain words", "日本語", "it's", "'", "’s", "a’", "\xff\xfe", "ﷺ", "x\u0301\u0301", strings.Repeat("é", 100), `") OR 1=1 --`, "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		Terms(s, func(term string) bool {
			if term == "" || utf8.RuneCountInString(term) > maxTermRunes {
				t.Fatalf("term %q of %q", term, s)
			}
			for _, r := range term {
				if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.M, r) {
					t.Fatalf("term %q of %q holds %q", term, s, r)
				}
			}
			return true
		})
		if len(Query(s)) > maxQueryTerms {
			t.Fatal("too many terms")
		}
	})
}

func TestPostingsRoundTrip(t *testing.T) {
	in := []Posting{{5, 1, 3}, {6, 200, 9000}, {1 << 40, 1, 1}}
	data := AppendPostings(nil, 5, in)
	out, err := DecodePostings(nil, 5, data)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("got %v, %v", out, err)
	}
	for i := 1; i < len(data); i++ {
		if out, err := DecodePostings(nil, 5, data[:i]); err == nil && len(out) == len(in) {
			t.Errorf("cut at %d: still %v", i, out)
		}
	}
}

func FuzzDecodePostings(f *testing.F) {
	f.Add(int64(0), []byte{})
	f.Add(int64(7), AppendPostings(nil, 7, []Posting{{7, 1, 2}, {9, 3, 4}}))
	f.Add(int64(1), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1, 1})
	f.Fuzz(func(t *testing.T, base int64, data []byte) {
		if base < 0 {
			return
		}
		p, err := DecodePostings(nil, base, data)
		var blocks Blocks
		blocks.Append(base, data)
		var same []Posting
		if failed := blocks.each(func(one Posting) { same = append(same, one) }); (failed == nil) != (err == nil) {
			t.Fatalf("%v and %v", failed, err)
		}
		if err != nil {
			return
		}
		if !reflect.DeepEqual(p, same) || blocks.count() != len(p) {
			t.Fatalf("%v and %v (%d)", p, same, blocks.count())
		}
		q, err := DecodePostings(nil, base, AppendPostings(nil, base, p))
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%v became %v, %v", p, q, err)
		}
	})
}

// add counts in the postings of one term, in two runs.
func add(t *testing.T, r *Ranking, postings []Posting) {
	t.Helper()
	var b Blocks
	half := len(postings) / 2
	for _, run := range [][]Posting{postings[:half], postings[half:]} {
		if len(run) > 0 {
			b.Append(run[0].Doc, AppendPostings(nil, run[0].Doc, run))
		}
	}
	if b.count() != len(postings) {
		t.Fatalf("%d postings of %d", b.count(), len(postings))
	}
	if err := r.Add(&b); err != nil {
		t.Fatal(err)
	}
}

func TestRanking(t *testing.T) {
	// Documents 1 to 4; "rare" in 2 only, "common" in all, document 4 is long.
	r := NewRanking(4, 4+4+4+40, 1, 4)
	add(t, r, []Posting{{1, 1, 4}, {2, 1, 4}, {3, 2, 4}, {4, 1, 40}})
	add(t, r, []Posting{{2, 1, 4}, {9, 1, 1}})
	if r.Len() != 4 {
		t.Fatalf("%d documents", r.Len())
	}
	first := r.Next(2)
	if !reflect.DeepEqual(first, []int64{2, 3}) {
		t.Errorf("best are %v, want 2 (has both) and 3 (repeats one)", first)
	}
	if s := r.Score(2); s <= r.Score(3) || s > 1 {
		t.Errorf("scores %v, %v", s, r.Score(3))
	}
	if rest := r.Next(10); !reflect.DeepEqual(rest, []int64{1, 4}) {
		t.Errorf("then %v, want the short one before the long one", rest)
	}
	if r.Next(1) != nil {
		t.Error("something is left")
	}
}

// TestRankingIsBM25 compares the order and the scores with the formula, written down once more over plain counts of words.
func TestRankingIsBM25(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		const docs = 60
		words := []string{"apple", "bread", "cider", "dates", "eggs", "figs"}
		text, total := make([][]string, docs+1), 0
		for d := int64(1); d <= docs; d++ {
			for range 1 + r.IntN(12) {
				text[d] = append(text[d], words[min(r.IntN(6), r.IntN(6))])
			}
			total += len(text[d])
		}
		query := words[r.IntN(3):][:3]
		ranking, want, most := NewRanking(docs, int64(total), 1, docs), map[int64]float64{}, 0.0
		for _, word := range query {
			var postings []Posting
			for d := int64(1); d <= docs; d++ {
				n := 0
				for _, w := range text[d] {
					if w == word {
						n++
					}
				}
				if n > 0 {
					postings = append(postings, Posting{d, uint32(n), uint32(len(text[d]))})
				}
			}
			n := float64(len(postings))
			idf := math.Log(1 + (docs-n+0.5)/(n+0.5))
			most += idf
			for _, p := range postings {
				tf, length := float64(p.Count), float64(p.Len)/(float64(total)/docs)
				want[p.Doc] += idf * tf * 1.9 / (tf + 0.9*(0.6+0.4*length))
			}
			add(t, ranking, postings)
		}
		var order []int64
		for d, score := range want {
			order = append(order, d)
			if got := ranking.Score(d); math.Abs(got-min(1, score/most)) > 1e-9 {
				t.Fatalf("document %d scores %v, want %v", d, got, score/most)
			}
		}
		slices.SortFunc(order, func(a, b int64) int {
			if math.Abs(want[a]-want[b]) > 1e-12 {
				return int(math.Copysign(1, want[b]-want[a]))
			}
			return int(b - a)
		})
		if got := append(ranking.Next(7), ranking.Next(docs)...); !slices.Equal(got, order) {
			t.Fatalf("%v: got %v, want %v", query, got, order)
		}
	}
}

func TestRankingTiesAreNewestFirst(t *testing.T) {
	r := NewRanking(6, 6, 10, 15)
	var p []Posting
	for d := int64(10); d <= 15; d++ {
		p = append(p, Posting{d, 1, 1})
	}
	add(t, r, p)
	r.Keep(map[int64]bool{10: true, 12: true, 14: true, 15: true})
	if got := append(r.Next(3), r.Next(3)...); !reflect.DeepEqual(got, []int64{15, 14, 12, 10}) {
		t.Errorf("got %v", got)
	}
}

func TestOneDocumentIsFound(t *testing.T) {
	r := NewRanking(1, 3, 1, 1)
	add(t, r, []Posting{{1, 1, 3}})
	if s := r.Score(1); s <= 0 || s > 1 {
		t.Errorf("score %v", s)
	}
}

func TestSparseCollectionsRankAsDenseOnes(t *testing.T) {
	dense, sparse := NewRanking(3, 9, 1, 3), NewRanking(3, 9, 1, 1<<40)
	for _, r := range []*Ranking{dense, sparse} {
		add(t, r, []Posting{{1, 1, 3}, {3, 2, 3}})
		add(t, r, []Posting{{2, 1, 3}})
		if got := r.Next(3); !reflect.DeepEqual(got, []int64{3, 2, 1}) && !reflect.DeepEqual(got, []int64{2, 3, 1}) {
			t.Errorf("got %v", got)
		}
	}
	for d := int64(1); d <= 3; d++ {
		if dense.Score(d) != sparse.Score(d) || dense.Score(d) == 0 {
			t.Errorf("document %d: %v and %v", d, dense.Score(d), sparse.Score(d))
		}
	}
}
