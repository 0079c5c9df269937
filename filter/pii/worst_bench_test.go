package pii

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// atoms are what worst texts are made of: numbers of all sizes, what stands between them,
// triggers, beginnings of values, and words that speak for them.
var atoms = append(strings.Split(`0 1 2 9 00 01 12 31 85 020 006 415 555 999 4111 1985 7946 0132 12345 123456 850512 9999999 12345678 123456789 1234567890 12345678901 123456789012 4111111111111111 1.2.3. 3rd a f A Z x AB DE89 GB82 eyJ sk- ghp_ key key= password password= token: Bearer phone born ip tax card account number passport March de :// http:// a@b .com a.b :: xoxb- AKIA AIza SG. eyJhbGciOiJSUzI1NiJ9. -----BEGIN KEY----- 0x bc1q a1b2c3 aB3dE5 X- 12345678- - . / : ( ) + , _ ' = @ % & ? ; { } [ ] < [" {"a": \u0034 \\ \n é 电 １ ¹ "`, " "),
	" ", " ", " ", "\n", "\u00a0", "\u2011", "\u200b", "\"", `","`)

// worstForms are the formats, and how a text is put in them.
var worstForms = []struct {
	format       Format
	before, then string
}{
	{Text, "", ""}, {JSON, `["`, `"]`}, {NDJSON, "", ""}, {Form, "a=", ""}, {SSE, "data: ", "\n\n"},
}

// BenchmarkWorst looks for texts that take long, by climbing from random ones as long as
// small changes make it longer, and prints those that it ends at, with their time per byte:
//
//	go test -run '^$' -bench Worst -benchtime 60s ./filter/pii
//
// What it finds that is new belongs into the texts of e2e/bench.
func BenchmarkWorst(b *testing.B) {
	custom := rules(b, CustomConfig{Rules: []CustomRule{
		{Name: "STAFF", Prefixes: []string{"EMP-"}, Words: []string{"Project Heron", "heron", "key"}, Patterns: []string{"[A-Z]{2}[0-9]{4,8}"}},
	}})
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	out := make([]byte, 0, 1<<18)
	worst := 0.0
	for b.Loop() {
		form := worstForms[r.IntN(len(worstForms))]
		policy := policyOf(Redact)
		if r.IntN(4) == 0 {
			policy.Custom = custom
		}
		rewriter := NewRewriter(Config{Format: form.format, Policy: policy, Lenient: true})
		cost := func(parts []string, rounds int) float64 {
			unit := strings.Join(parts, "")
			body := []byte(form.before + strings.Repeat(unit, 3<<10/len(unit)+1) + form.then)
			best := time.Duration(1 << 60)
			for range rounds {
				start := time.Now()
				rewriter.Reset()
				out, _ = rewriter.Write(out[:0], body)
				out, _ = rewriter.Close(out)
				best = min(best, time.Since(start))
			}
			return float64(best) / float64(len(body))
		}
		var at []string
		most := 0.0
		for range 30 {
			parts := make([]string, 1+r.IntN(8))
			for k := range parts {
				parts[k] = atoms[r.IntN(len(atoms))]
			}
			if c := cost(parts, 3); c > most {
				at, most = parts, c
			}
		}
		for failed := 0; failed < 60; failed++ {
			k := r.IntN(len(at))
			next := append([]string{}, at[:k]...)
			switch r.IntN(3) {
			case 0:
				next = append(append(next, atoms[r.IntN(len(atoms))]), at[k+1:]...)
			case 1:
				next = append(append(next, atoms[r.IntN(len(atoms))]), at[k:]...)
			default:
				next = append(next, at[k+1:]...)
			}
			if len(next) == 0 || len(next) > 12 || cost(next, 3) < most*1.01 {
				continue
			}
			if c := cost(next, 20); c > most*1.01 { // not by chance
				at, most, failed = next, c, 0
			}
		}
		b.Logf("%6.1f ns per byte as %v: %s", most, form.format, strconv.Quote(strings.Join(at, "")))
		worst = max(worst, most)
	}
	b.ReportMetric(worst, "ns/byte-at-worst")
}
