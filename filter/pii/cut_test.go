package pii

import (
	"github.com/memgate/memgate/filter/pii/sample"
	"slices"
	"strings"
	"testing"
)

// stream feeds text to s in pieces that end at the cuts, as the rewriter does: it
// keeps Context bytes of what was released and moves what is held to the front. It
// merges the parts of open values and checks what Scan promises.
func stream(t testing.TB, s *Scanner, text []byte, cuts []int) []Finding {
	t.Helper()
	s.Reset()
	var all []Finding
	var buf []byte
	base, from, fed := 0, 0, 0 // base is buf[0]'s place in the text
	open := false
	cuts = append(cuts, len(text))
	for k, cut := range cuts {
		final := k == len(cuts)-1
		buf = append(buf, text[fed:cut]...)
		fed = cut
		fs, safe := s.Scan(nil, buf, from, final)
		if safe < from || safe > len(buf) || final && safe != len(buf) || len(buf)-safe > MaxHold {
			t.Fatalf("safe %d with from %d, %d bytes, final %v", safe, from, len(buf), final)
		}
		last := from
		for _, f := range fs {
			if f.Start < last || f.End < f.Start || f.End > safe || f.Continued != open || f.Continued && f.Start != from || f.Score < Threshold || f.Score > 1 {
				t.Fatalf("finding %+v, from %d, safe %d, open %v", f, from, safe, open)
			}
			last = f.End
			open = f.More
			f.Start += base
			f.End += base
			if f.Continued {
				all[len(all)-1].End = f.End
			} else {
				f.More = false
				all = append(all, f)
			}
		}
		drop := max(0, safe-Context)
		base += drop
		buf = slices.Clone(buf[drop:])
		from = safe - drop
	}
	if open {
		t.Fatal("a value is open at the end")
	}
	return all
}

func same(a, b []Finding) bool { return slices.Equal(a, b) }

// samples are texts with everything that the detectors look for.
func samples() []string {
	all := []string{
		"call (415) 555-0132 or +44 (0)20 7946 0958, 01 23 45 67 89, ssn 123-45-6789, 415-555-0132x12. Mail joe.bloggs+x@mail.example.com.",
		"card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, ip 192.0.2.1, 2001:db8::1, ::ffff:192.0.2.1 at 2026-11-22T08:09:16Z",
		"请联系zhang@example.com谢谢 josé@müller.de, 电话13812345678 " + strings.Repeat("b", 70) + "@example.com",
		"(415) 555-0132@example.com 4111111111111111@example.com +(1) 415-555-0132 415\u00a0555\u20110132 a@b@c.de",
		"550e8400-e29b-41d4-a716-446655440000 1.2.3.4.5 std::b 12:30:45 1234567890123456789012345 0.4111111111111111",
	}
	r := sample.NewRand(3)
	for e := range NumEntities {
		if e == Custom {
			continue
		}
		value := sample.Values[e.String()](r)
		all = append(all, r.Label(e.String())+": "+value+", and", `{"`+r.Label(e.String())+`":"`+value+`"}`, "x="+value+" "+value+";")
	}
	for _, s := range secrets {
		if len(s.value) < 1500 {
			all = append(all, "a "+s.value+" b", s.value+"."+s.value)
		}
	}
	return all
}

func TestCutAtEveryByte(t *testing.T) {
	var s Scanner
	for _, text := range samples() {
		want := Scan(nil, []byte(text))
		for cut := range len(text) + 1 {
			if got := stream(t, &s, []byte(text), []int{cut}); !same(got, want) {
				t.Fatalf("%q cut at %d\n got %+v\nwant %+v", text, cut, got, want)
			}
		}
	}
}

func TestByteByByte(t *testing.T) {
	var s Scanner
	texts := samples()
	for _, x := range secrets {
		texts = append(texts, "a "+x.value+" b", x.value)
	}
	for _, text := range texts {
		want := Scan(nil, []byte(text))
		for _, step := range []int{1, 2, 3, 7, 64, 1000} {
			var cuts []int
			for c := step; c < len(text); c += step {
				cuts = append(cuts, c)
			}
			if got := stream(t, &s, []byte(text), cuts); !same(got, want) {
				t.Fatalf("%q by %d\n got %+v\nwant %+v", text, step, got, want)
			}
		}
	}
}

// TestMixtures cuts random mixtures of what values are made of, in which many overlap
// or just fail to be values.
func TestMixtures(t *testing.T) {
	pieces := []string{
		"4111 1111 1111 1111", "4111111111111111", "(415) 555-0132", "415-555-0132", "+44 (0)20 7946 0958", "020 7946 0958", "555-0132", "123-45-6789", "123456789",
		"DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb82", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "joe@example.com", "a.b", "@x.de", "@", "é", "请",
		awsKey, fake("gh"+"p_", 36), "xox" + "b-1234567890-" + fake("", 20), fake("sk_"+"live_", 24), fake("s"+"k-", 48), fake("s"+"k-ant-api03-", 40), jwtHeader + ".", jwtToken, "eyJ",
		"-----BEGIN PRIVATE " + "KEY-----", "\nMIIEvQ+/MIIEvQ+/MIIEvQ+/\n", "-----END PRIVATE " + "KEY-----", "Zm9v=", "-----BEGIN ", "Proc-Type: 4,ENCRYPTED\n",
		"3rd of March 1990", "March 3rd, 1990", "1er mars 1990", "1990-062", "March 12, 1985", "12. März 1985", "5/12/1985", "1985-05-12", "born on ", "AB 12 34 56 C", "AB123456C", "X-1234567-L", "12345678Z", "12.345.678-Z", "131052-308T", "850512-1234", "1 85 05 78 006 084 36",
		"12 345 678 901", "2123 45670 1", "123.456.789-09", "00:1a:2b:3c:4d:5e", "00-1A-2B-", "://", "https://", "joe:pass1@", "postgres://u:p@h", "password=", "\"api_key\": \"", "aB3dE5gH7jK9mN1pQ2", "12345678:AAaB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0dF", "/24", "%eth0", "de ", "X", "AB ", "tax ", "dob ", "Password=x1y2z3;", "key-", "SG.", "hvs.", "dapi", "AIza", "0x", "bc1",
		"phone ", "card ", "ssn ", "order ", "version ", "my number is ", "PhoneNumber", "1", "0", "00", "12", "7", "9999", "a", "f", "Z", "\\n",
		" ", " ", "-", ".", ":", "::", "(", ")", "+", "/", ",", "_", "'", "x", "\u00a0", "\u2011", "\n", strings.Repeat("b", 62), strings.Repeat("7", 21), strings.Repeat("Q", 1100),
	}
	seed := uint64(42)
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	var s Scanner
	var b []byte
	for range mixtures {
		b = b[:0]
		for range 1 + next(12) {
			b = append(b, pieces[next(len(pieces))]...)
		}
		want := Scan(nil, b)
		var cuts []int
		for at, most := 0, 1+next(60); ; {
			if at += 1 + next(most); at >= len(b) {
				break
			}
			cuts = append(cuts, at)
		}
		if got := stream(t, &s, b, cuts); !same(got, want) {
			t.Fatalf("%q cut at %v\n got %+v\nwant %+v", b, cuts, got, want)
		}
	}
}

// mixtures is how many TestMixtures tries.
const mixtures = 5000

func FuzzScanner(f *testing.F) {
	for _, text := range samples() {
		f.Add([]byte(text), uint64(0x123456789abcdef))
	}
	for _, text := range []string{"@@@@", "1111 1111 1111 1111 1111", "a.a.a.a@a.a", "eyJeyJ", "sk-sk-", "-----BEGIN PRIVATE KEY-----\n\n", "+(1)(2)(3", "::1::", "1:1:1:1:1:1:1:1:1"} {
		f.Add([]byte(text), uint64(7))
	}
	var s Scanner
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 1<<14 {
			return
		}
		want := Scan(nil, text)
		for round := range 3 {
			var cuts []int
			for at := 0; ; {
				seed = seed*6364136223846793005 + 1442695040888963407
				at += 1 + int(seed>>33)%(3<<(3*round))
				if at >= len(text) {
					break
				}
				cuts = append(cuts, at)
			}
			if got := stream(t, &s, text, cuts); !same(got, want) {
				t.Fatalf("cuts %v\n got %+v\nwant %+v", cuts, got, want)
			}
		}
	})
}
