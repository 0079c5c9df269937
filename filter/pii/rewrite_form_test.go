package pii

import (
	"fmt"
	"testing"
)

// Every byte is found behind its escape, in either case of the digits: what is decoded
// wrongly is not found.
func TestUnpercent(t *testing.T) {
	for want := range 256 {
		for _, s := range []string{fmt.Sprintf("%%%02x", want), fmt.Sprintf("%%%02X", want)} {
			if c, n := unpercent([]byte(s)); int(c) != want || n != 3 {
				t.Errorf("%s: %q, %d bytes", s, c, n)
			}
		}
	}
	r := NewRewriter(Config{Format: Form, Policy: everything(Redact)})
	out, err := r.Write(nil, []byte("a=%34%31%31%31%201111%201111%20%31%31%31%31&b=%6aane%40ex%61mple.com"))
	if err == nil {
		out, err = r.Close(out)
	}
	if want := "a=%5BCREDIT_CARD%5D&b=%5BEMAIL_ADDRESS%5D"; err != nil || string(out) != want {
		t.Errorf("%s, %v; want %s", out, err, want)
	}
}
