package pii

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

// memoryProse is text as people write it, without anything to be found.
const memoryProse = `The user prefers short answers and likes to see the sources first. ` +
	`They moved from Lisbon to Porto in 2019, work on a data platform with 3 colleagues, and keep their notes in plain text. ` +
	`Remember that the weekly review is on Friday; it covers open questions, risks, and what changed since the last one. `

// memoryBody is a body as a client of the memory service sends it, about 1 KB long.
func memoryBody(extra string) []byte {
	return []byte(`{"content":"` + memoryProse + extra + memoryProse[:200] + `","type":"fact","title":"Preferences of the user",` +
		`"confidence":0.92,"tags":["preferences","work","notes"],"source":"conversation","metadata":{"thread":"b7f3-main",` +
		`"turn":41,"reviewed":true,"lang":"en"},"created_at":"2026-03-04T12:00:00Z"}`)
}

// memoryArray is an array of so many bytes, at least.
func memoryArray(size int, extra string) []byte {
	one := memoryBody(extra)
	var b bytes.Buffer
	b.WriteString(`{"memories":[`)
	for b.Len() < size {
		b.Write(one)
		b.WriteByte(',')
	}
	b.Truncate(b.Len() - 1)
	b.WriteString("]}")
	return b.Bytes()
}

// denseBody has an entity each 100 bytes.
func denseBody(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`["`)
	for i := 0; b.Len() < size; i++ {
		b.WriteString("They said that one can write to user" + strconv.Itoa(i%1000) + "@example.com when there is something to be asked now. ")
	}
	b.WriteString(`"]`)
	return b.Bytes()
}

func benchmarkRewrite(b *testing.B, cfg Config, body []byte, cut int) {
	r := NewRewriter(cfg)
	out := make([]byte, 0, 2*len(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		dst := out[:0]
		var err error
		for at := 0; at < len(body); at += cut {
			if dst, err = r.Write(dst[:0], body[at:min(at+cut, len(body))]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err = r.Close(dst); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRewrite: compare with
//
//	go test -run '^$' -bench Rewrite -count 6 ./filter/pii | tee new && benchstat old new
func BenchmarkRewrite(b *testing.B) {
	redact := Config{Policy: policyOf(Redact)}
	limits := redact
	limits.Fields = []FieldLimit{{"content", 10 << 10}, {"metadata", 5 << 10}, {"memories[].content", 10 << 10}}
	const large = 10 << 20
	escaped := func() []byte {
		return []byte(`["` + strings.Repeat(strings.ReplaceAll(memoryProse, " the ", ` \"the\"\n`), large/len(memoryProse)) + `"]`)
	}
	body := func(extra string) func() []byte { return func() []byte { return memoryBody(extra) } }
	array := func() []byte { return memoryArray(large, "") }
	for _, bm := range []struct {
		name string
		cfg  Config
		body func() []byte
		cut  int
	}{
		{"memory1K", redact, body(""), large},
		{"memory1K-found", redact, body("Write to jane@example.com. "), large},
		{"memory1K-limits", limits, body(""), large},
		{"memory1K-check", Config{}, body(""), large},
		{"memories10M", redact, array, 16 << 10},
		{"memories10M-at-once", redact, array, 2 * large},
		{"memories10M-limits", limits, array, 16 << 10},
		{"memories10M-check", Config{}, array, 16 << 10},
		{"prose10M", redact, func() []byte { return []byte(`["` + strings.Repeat(memoryProse, large/len(memoryProse)) + `"]`) }, 16 << 10},
		{"dense10M", redact, func() []byte { return denseBody(large) }, 16 << 10},
		{"escaped10M", redact, escaped, 16 << 10},
		{"numbers10M", redact, func() []byte { return []byte("[" + strings.Repeat(`12,3.25,1048576,-7,`, large/20) + "0]") }, 16 << 10},
		{"greek10M", redact, func() []byte {
			return []byte(`["` + strings.Repeat("Η μνήμη του χρήστη. ", large/36) + `"]`)
		}, 16 << 10},
		{"text10M", Config{Format: Text, Policy: redact.Policy}, array, 16 << 10},
		{"sse10M", Config{Format: SSE, Policy: redact.Policy}, escaped, 16 << 10},
		{"form10M", Config{Format: Form, Policy: redact.Policy}, func() []byte { return bytes.ReplaceAll(escaped(), []byte(" "), []byte("+")) }, 16 << 10},
	} {
		b.Run(bm.name, func(b *testing.B) { benchmarkRewrite(b, bm.cfg, bm.body(), bm.cut) })
	}
}

// BenchmarkBytewise is the worst way to cut: each byte on its own, within a value
// that is held back.
func BenchmarkBytewise(b *testing.B) {
	for name, unit := range map[string]string{"prose": memoryProse, "escapes": `\u0061`, "letters": "a", "digits": "4", "at": "a@", "dots": "a."} {
		body := []byte(`["` + strings.Repeat(unit, 60_000/len(unit)) + `"]`)
		b.Run(name, func(b *testing.B) { benchmarkRewrite(b, Config{Policy: policyOf(Redact)}, body, 1) })
	}
}
