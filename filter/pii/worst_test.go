package pii

import (
	"strings"
	"testing"
)

// worstTexts are texts of nothing but what looks like the beginning of a value: for
// each trigger, and for each place where a detector looks back or ahead.
var worstTexts = []string{
	"@", "a@", "a.a.a.a@", "a@a.a.a.", "@a.", "1@1.", "a-@", "1", "1 ", "1-1-1-", "11 ", "111-", "1111 ", "4111 ", "4111-1111-1111-1112 ", "415-555-", "(415)", "+1(", "+", "1.", "1.1.1.1.", "255.255.255.",
	"1:1:1:1:", "a::", "::", ":", "aa:", "aa:aa:aa:aa:aa:a ", "aa-", "1:2:3:4:5:6:7 ", "://", "a://", "http://a:b", "http://a:", "https://a:a:a:a", "x:y@", "//:@",
	"sk-", "sk- ", "sk-ant-", "xoxb-", "xoxb- ", "ghp_", " ghp_", "whsec_+", "whsec_/", "glpat-", "key-", "SG.", "hvs.", "dp.pt.", "AKIA", "AIza", "AIza ", "AKIA-", "_", "-", ".", "=", "==", "a=", "key=", "token=", "?token=", "&password=", "password=a;", "password: ", "password: 1 ",
	"eyJ", "eyJ.", " eyJhbGciOiJSUzI1NiJ9.eyJ", "eyJhbGciOiJSUzI1NiJ9.", "-----BEGIN", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n\n\n\n", "----", "DE89 ", "DE89 3704 ", "DE89370400440532013001 ", "AB 12 34 56 ", "AB123456 ", "X-1234567-", "12345678-",
	"123456789 ", "123-45-", "12.345.678-", "1 85 05 78 006 084 ", "850512-", "March 12, ", "12 March ", "born 12/12/", "12 de ", "phone 5550132 ", "tax 123456789 ", "phonephone 555-0132 ", "my number number number 5550132 ",
	"0x", "0x1234567890abcdef", "bc1q", "1BoatSLRHtKNngkdXEeobR76b53LETtpy", "a1", "a1-", "a1b2c3d4e5f6", "abcdefgh1", "12345678:AA", "\n1\\n", "１", "é@", "\xc3", "%@", "password=1", "1password=", "?token=$", "glc_+", "sntrys_/", "pscale_pw_.", "xoxd-%", "01/", " 006", "1 01 ", "78 006 084 card born ", "31x4111111111111111account ", "@1.2.3.0", "::1.2.3.0key=", "'@", "a'a'@",
}

// However a text is made, the detectors look at each byte a bounded number of times:
// so the time for it is linear, with a constant that no text can raise.
func TestWorkIsLinear(t *testing.T) {
	const most = 24 // times that a byte is looked at, at most, over a whole text
	var s Scanner
	for _, size := range []int{1 << 12, 1 << 16} {
		for _, x := range worstTexts {
			for _, between := range []string{"", " ", "\n", ",", "é"} {
				text := []byte(strings.Repeat(x+between, size/len(x+between)))
				s.Reset()
				s.work = 0
				s.Scan(nil, text, 0, true)
				if s.work > most*len(text) {
					t.Errorf("%q: %d bytes looked at %.1f times", x+between, len(text), float64(s.work)/float64(len(text)))
				}
			}
		}
	}
}
