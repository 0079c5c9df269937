package pii

import (
	"encoding/json"
	"testing"
)

// A number says no less with a fraction, a sign or an exponent: each of these is
// the same card to whoever reads it.
func TestNumbersInOtherForms(t *testing.T) {
	for in, want := range map[string]string{
		`4111111111111111`:                       `"[CREDIT_CARD]"`,
		`4111111111111111.0`:                     `"[CREDIT_CARD]"`,
		`4111111111111111.25`:                    `"[CREDIT_CARD]"`,
		`-4111111111111111`:                      `"[CREDIT_CARD]"`,
		`4111111111111111e0`:                     `"[CREDIT_CARD]"`,
		`4111111111111111E+0`:                    `"[CREDIT_CARD]"`,
		`4.111111111111111e15`:                   `"[CREDIT_CARD]"`,
		`411111111111111100e-2`:                  `"[CREDIT_CARD]"`,
		`41111111111111.11e2`:                    `"[CREDIT_CARD]"`,
		`{"phone":4155550132.0}`:                 `{"phone":"[PHONE_NUMBER]"}`,
		`{"ssn":1.23456789e8,"n":1.23456789e8}`:  `{"ssn":"[US_SSN]","n":1.23456789e8}`,
		`4111111111111112.0`:                     `4111111111111112.0`,
		`0.4111111111111111`:                     `0.4111111111111111`,
		`3.14159265358979`:                       `3.14159265358979`,
		`4111111111111111e9`:                     `4111111111111111e9`,
		`4111111111111111e99999999999999999999`:  `4111111111111111e99999999999999999999`,
		`4111111111111111e-99999999999999999999`: `4111111111111111e-99999999999999999999`,
		`[1.5,-2e3,1795338004.123,-122.419416]`:  `[1.5,-2e3,1795338004.123,-122.419416]`,
	} {
		for cut := 0; cut <= len(in); cut++ {
			r := NewRewriter(Config{Format: JSON, Policy: everything(Redact)})
			out, err := r.Write(nil, []byte(in[:cut]))
			if err == nil {
				out, err = r.Write(out, []byte(in[cut:]))
			}
			if err == nil {
				out, err = r.Close(out)
			}
			if err != nil || string(out) != want || !json.Valid(out) {
				t.Fatalf("%s cut at %d: got %s, %v, want %s", in, cut, out, err, want)
			}
		}
	}
}
