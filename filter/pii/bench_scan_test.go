package pii

import (
	"strings"
	"testing"
)

// go test -run '^$' -bench Scan -count 6 ./filter/pii | benchstat -

const scanProse = "The committee met on a quiet afternoon and agreed that the garden behind the library should be open to " +
	"everyone, as long as the gate is closed at night. Anna prefers tea without sugar, likes long walks by the river, " +
	"and is reading a novel about lighthouses; she asked to be reminded of her sister's birthday in the spring. " +
	"Her brother works as a carpenter (he makes chairs and tables), and they plan to visit the coast together. "

const scanMemories = `{"memories":[{"id":"550e8400-e29b-41d4-a716-446655440000","content":"User prefers dark mode and weekly summaries","created_at":"2026-11-22T08:09:16Z","score":0.8731,"metadata":{"source":"chat","turn":12}},` +
	`{"id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","content":"Deployed version 1.14.2 of the billing service at 12:30","created_at":"2026-10-02T17:45:01Z","score":0.4412,"metadata":{"source":"import","turn":7}}]}` + "\n"

// scanDense has one entity in each 100 bytes.
const scanDense = "Please send the report about last week's meeting to joe.bloggs@example.com before Friday at noon, ok " +
	"and then call the office in the afternoon, its number is (415) 555-0132, and ask for the new schedule " +
	"The card that was used for the booking of the hotel was 4111 1111 1111 1111 and it is still the same " +
	"The request came from the address 192.0.2.17 according to the log that the operator sent this morning " +
	"Transfers go to DE89 3704 0044 0532 0130 00 as always and nobody has ever complained about any of them "

var scanBenchmarks = []struct{ name, text string }{
	{"prose", scanProse},
	{"memories", scanMemories},
	{"dense", scanDense},
	{"digits", "1 11 111 1111 11111 111111 1234567 "},
	{"ats", "@@@@"},
	{"ones", "1111"},
	{"spacedones", "1 1 1 "},
	{"groups", "4111 "},
	{"dashes", "415-555-"},
	{"locals", "a.a.a.a@"},
	{"domains", "a@a.a.a."},
	{"eyJ", "eyJeyJ"},
	{"eyJdots", "eyJ."},
	{"jwtheaders", " eyJhbGciOiJSUzI1NiJ9.eyJ"},
	{"sk", "sk-sk-"},
	{"skspaced", "sk- sk-a "},
	{"begin", "-----BEGIN"},
	{"beginkey", "-----BEGIN PRIVATE KEY-----"},
	{"hyphens", "----"},
	{"underscores", "ghp_ghp_"},
	{"colons", "1:1:1:1:"},
	{"doublecolons", "a::"},
	{"AKIA", "AKIA"},
	{"hex", "0123456789abcdef"},
	{"plus", "+1("},
	{"iban", "DE89 3704 "},
	{"phonewords", "phonephone 555-0132 "},
	{"newlines", "-----BEGIN PRIVATE KEY-----\n\n\n\n\n\n"},
	{"v6", "1:2:3:4:5:6:7 "},
	{"dots", "1.1.1.1."},
}

func BenchmarkScan(b *testing.B) {
	for _, bench := range scanBenchmarks {
		text := []byte(strings.Repeat(bench.text, 64<<10/len(bench.text)+1))
		b.Run(bench.name, func(b *testing.B) {
			dst := make([]Finding, 0, len(text))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				dst = Scan(dst[:0], text)
			}
		})
	}
}

// BenchmarkScanner feeds prose and dense text in pieces of 1 KB.
func BenchmarkScanner(b *testing.B) {
	for _, bench := range scanBenchmarks[:3] {
		text := []byte(strings.Repeat(bench.text, 64<<10/len(bench.text)+1))
		b.Run(bench.name, func(b *testing.B) {
			var s Scanner
			dst := make([]Finding, 0, len(text))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset()
				dst = dst[:0]
				from := 0
				for end := min(1024, len(text)); ; end = min(end+1024, len(text)) {
					dst, from = s.Scan(dst, text[:end], from, end == len(text))
					if end == len(text) {
						break
					}
				}
			}
		})
	}
}

func TestNoAllocation(t *testing.T) {
	var s Scanner
	dst := make([]Finding, 0, 1000)
	for _, bench := range scanBenchmarks {
		text := []byte(strings.Repeat(bench.text, 20))
		if n := testing.AllocsPerRun(10, func() {
			s.Reset()
			dst, _ = s.Scan(dst[:0], text, 0, true)
		}); n != 0 {
			t.Errorf("%s: %v allocations", bench.name, n)
		}
	}
}
