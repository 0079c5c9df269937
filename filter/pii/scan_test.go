package pii

import (
	"fmt"
	"strings"
	"testing"
)

// marks runs Scan and returns the text with each finding in brackets, as
// [ENTITY:value].
func marks(text string) string {
	var b strings.Builder
	at := 0
	for _, f := range Scan(nil, []byte(text)) {
		b.WriteString(text[at:f.Start])
		fmt.Fprintf(&b, "[%s:%s]", f.Entity, text[f.Start:f.End])
		at = f.End
	}
	b.WriteString(text[at:])
	return b.String()
}

// expect reads a text in the form that marks returns and compares.
func expect(t *testing.T, marked string) {
	t.Helper()
	text := unmark(marked)
	if got := marks(text); got != marked {
		t.Errorf("Scan(%q)\n got %s\nwant %s", text, got, marked)
	}
}

// unmark returns the text without the marks.
func unmark(marked string) string {
	for e := range NumEntities {
		open := "[" + e.String() + ":"
		for {
			i := strings.Index(marked, open)
			if i < 0 {
				break
			}
			rest := marked[i+len(open):]
			j := strings.Index(rest, "]")
			marked = marked[:i] + rest[:j] + rest[j+1:]
		}
	}
	return marked
}

func TestEmail(t *testing.T) {
	for _, s := range []string{
		"[EMAIL_ADDRESS:joe@example.com]",
		"mail [EMAIL_ADDRESS:joe.bloggs+tag@mail.example.co.uk].",
		"<[EMAIL_ADDRESS:joe@example.com]>, ([EMAIL_ADDRESS:a_b%c@x-y.org])",
		"mailto:[EMAIL_ADDRESS:joe@example.com]?subject=x",
		"请联系[EMAIL_ADDRESS:zhang@example.com]谢谢",
		"[EMAIL_ADDRESS:josé@example.com] und [EMAIL_ADDRESS:info@müller.de]",
		"[EMAIL_ADDRESS:o'brien@example.ie] 'and' '[EMAIL_ADDRESS:x@example.com]'",
		"Wait...[EMAIL_ADDRESS:joe@example.com]... ok",
		"Write [EMAIL_ADDRESS:joe@example.com].Thanks",
		"[EMAIL_ADDRESS:JOE@EXAMPLE.COM]",
		"[EMAIL_ADDRESS:joe@xn--bcher-kva.example] [EMAIL_ADDRESS:a@b.xn--p1ai]",
		"[EMAIL_ADDRESS:4111111111111111@example.com]",
		"[EMAIL_ADDRESS:" + strings.Repeat("a", 64) + "@example.com]",
		strings.Repeat("a", 65) + "@example.com",
		"git clone git@github.com:org/repo.git", "icon@2x.png", "lodash@4.17.21", "user@localhost", "a @ b.com", "@user",
		"joe@", "@example.com", "joe@-example.com", "joe@example..com", "this@MainActivity.applicationContext",
		"joe@.com", "joe@example.c", "@@@@", "getty@tty1.service",
	} {
		expect(t, s)
	}
}

func TestCard(t *testing.T) {
	for _, s := range []string{
		"[CREDIT_CARD:4111111111111111]", "card [CREDIT_CARD:4111 1111 1111 1111], exp 12/27", "[CREDIT_CARD:4111-1111-1111-1111].",
		"[CREDIT_CARD:378282246310005] [CREDIT_CARD:3782 822463 10005]", "([CREDIT_CARD:5555555555554444])", "[CREDIT_CARD:6011111111111117]",
		"[CREDIT_CARD:3530111333300000]", "[CREDIT_CARD:30569309025904]", "[CREDIT_CARD:3056 930902 5904]", "[CREDIT_CARD:2223003122003222]",
		"[CREDIT_CARD:4222222222222]", "1,[CREDIT_CARD:4111111111111111],12/27", "卡号[CREDIT_CARD:4111111111111111]。",
		"4111111111111112", "4111 1111-1111 1111", "a4111111111111111", "4111111111111111a", "0.4111111111111111", "4111111111111111.5",
		"1732263000000", "1732263000000000000", "ORD-4111111111111111", "12345678-4111-1111-1111-111111111111",
		"9999999999999995", "-4507534739750823898", "6559392774825876886", "x-4111111111111111", "1234567812345670",
		"room 12 [CREDIT_CARD:4111 1111 1111 1111] 123",
	} {
		expect(t, s)
	}
}

func TestPhone(t *testing.T) {
	for _, s := range []string{
		"call [PHONE_NUMBER:(415) 555-0132] now", "[PHONE_NUMBER:415-555-0132]", "[PHONE_NUMBER:415.555.0132].", "[PHONE_NUMBER:1-415-555-0132]",
		"[PHONE_NUMBER:+14155550132]", "[PHONE_NUMBER:+1 415 555 0132]", "[PHONE_NUMBER:+1 (415) 555-0132]", "[PHONE_NUMBER:+1-415-555-0132] x12",
		"[PHONE_NUMBER:415-555-0132]x123", "[PHONE_NUMBER:415-555-0132] ext. 5", "[PHONE_NUMBER:(415)555-0132]", "[PHONE_NUMBER:1 (415) 555-0132]",
		"[PHONE_NUMBER:+44 20 7946 0958]", "[PHONE_NUMBER:+44 (0)20 7946 0958]", "[PHONE_NUMBER:+49 30 123456]", "[PHONE_NUMBER:+33 1 23 45 67 89]",
		"[PHONE_NUMBER:01 23 45 67 89]", "[PHONE_NUMBER:020 7946 0958]", "[PHONE_NUMBER:01632 960001]", "[PHONE_NUMBER:(01632) 960 001]",
		"[PHONE_NUMBER:0151 23456789]", "[PHONE_NUMBER:001-415-555-0132]", "[PHONE_NUMBER:00 44 20 7946 0958]", "[PHONE_NUMBER:011 44 20 7946 0958]",
		"phone: [PHONE_NUMBER:4155550132]", "电话[PHONE_NUMBER:13812345678]", "tel:[PHONE_NUMBER:+1-415-555-0132]", "my cell is [PHONE_NUMBER:555-0132]",
		"[PHONE_NUMBER:123-456-7890]", "([PHONE_NUMBER:415-555-0132])", "(call [PHONE_NUMBER:+1 415 555 0132])", "([PHONE_NUMBER:+1 415 555 0132])",
		"[PHONE_NUMBER:(+1) 415-555-0132]", "[PHONE_NUMBER:415\u00a0555\u20110132]", "[PHONE_NUMBER:020 7946 0958] [PHONE_NUMBER:020 7946 0959]",
		"[PHONE_NUMBER:+91 98765 43210]", "[PHONE_NUMBER:0418.115.254]", "[PHONE_NUMBER:(03).7389.4264]", "call [PHONE_NUMBER:11 91234-5678]", "my number is [PHONE_NUMBER:2652247069]", "[PHONE_NUMBER:138 1234 5678]", "ring [PHONE_NUMBER:98765 43210]", "[PHONE_NUMBER:+81 3-1234-5678]", "[PHONE_NUMBER:+86 138 1234 5678]", "[PHONE_NUMBER:415-555-0132]/[PHONE_NUMBER:415-555-0133]",
		"4155550132", "555-0132", "2026-11-22T08:09:16Z", "2026-11-22 08:09:16", "11/22/2026", "22.11.2026", "01 02 2024 10", "01-02-2024 10:30",
		"550e8400-e29b-41d4-a716-446655440000", "12345678-1234-1234-1234-123456789012", "3.14159265358979", "$1,234,567.89", "1.2.3", "v10.20.30",
		"order 123-456-7890", "order 4155550132", "12-415-555-0132", "37.774929, -122.419416", "-122.4194155", "ISBN 0-306-40615-2", "978-0-306-40615-7",
		"1732263000", "1 2 3 4 5 6 7 8 9 10", "10 000 000", "100 200 300", "x = f(123, 456, 7890)", "C++14155550132", "2026-11-22T08:09:16+05:30",
		"sha 415555013299", "50 4b 03 04 14 00 00 00 08 00", "01 02 03 04 05 06", "0.0999755859375", "+100000000", "+1.12345679", "+1130 2010", "0069 0307 0300", "x/0104/010417",
		"(2019) 12 34567", "Call //00040054", "1000000 phones", "0123456789abcdef0123456789abcdef", "1234567890123456789012", "#415555", "9:30-17:30", "1-2-3", "2019-2020", "+1", "+0530", "1e+10000000",
	} {
		expect(t, s)
	}
}

func TestSSNIBANIP(t *testing.T) {
	for _, s := range []string{
		"[US_SSN:123-45-6789].", "ssn [US_SSN:123 45 6789]", "SSN: [US_SSN:123456789]", "social security number is [US_SSN:123456789]",
		"123456789", "000-45-6789", "666-45-6789", "900-45-6789", "123-00-6789", "123-45-0000", "123-45 6789", "1123-45-6789", "123-45-67890", "a123-45-6789", "123-45-6789-1",
		"[IBAN_CODE:DE89370400440532013000]", "[IBAN_CODE:DE89 3704 0044 0532 0130 00].", "[IBAN_CODE:gb82west12345698765432]", "IBAN:[IBAN_CODE:GB82 WEST 1234 5698 7654 32]",
		"[IBAN_CODE:NO9386011117947]", "[IBAN_CODE:FR1420041010050500013M02606]", "DE89370400440532013001", "XX89370400440532013000", "DE8937040044053201300", "aDE89370400440532013000", "DE893704004405320130001",
		"[IP_ADDRESS:192.0.2.1].", "http://[IP_ADDRESS:192.0.2.1]:8080/", "[IP_ADDRESS:192.0.2.1/24]", "[IP_ADDRESS:192.0.2.1]/33", "[IP_ADDRESS:fe80::1%eth0], [IP_ADDRESS:fe80::1%en1/64]", "[IP_ADDRESS:10.0.0.1],[IP_ADDRESS:10.0.0.2]", "[IP_ADDRESS:127.0.0.1]", "ip:[IP_ADDRESS:255.255.255.255]",
		"1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "01.2.3.4", "v1.2.3.4", "version 1.2.3.4", "Chrome/120.0.0.0 Safari", "1.2.3.4a", "1.3.6.1.4.1",
		"[IP_ADDRESS:2001:db8::1]", "[[IP_ADDRESS:fe80::1]]:80", "[IP_ADDRESS:2001:0db8:85a3:0000:0000:8a2e:0370:7334].", "[IP_ADDRESS:::ffff:192.0.2.1]", "[IP_ADDRESS:2001:db8::/32]", "[IP_ADDRESS:::1]", "[IP_ADDRESS:1:2:3:4:5:6:192.0.2.1]",
		"12:30:45", "[MAC_ADDRESS:00:1a:2b:3c:4d:5e]", "[MAC_ADDRESS:00:1a:2b:ff:fe:3c:4d:5e]", "[MAC_ADDRESS:00-1A-2B-3C-4D-5E].", "00:1a:2b:3c:4d:5e:6f", "00:00:00:00:00:00", "std::vector", "a::b", "dead::beef", "x[::2]", "x[::1]", "Foo::Bar", "::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "2001:db8::1::2", `{"a":1,"b":"c"}`, ":::1", "2001:db8:::1", "12345::1",
	} {
		expect(t, s)
	}
}
