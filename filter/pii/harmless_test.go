package pii

import (
	"testing"
)

// What is passed over without a search is searched here, behind the context that a name
// may be.
func FuzzHarmless(f *testing.F) {
	for _, s := range []string{
		"", ".", "The import ran late.", "version 1.2.", "a-b_c: d/e.", "AKIA.", "sk-ant-.", "SG.", "eyJ.", "ghp_.", "x@y.", "4111.",
		"[4.111111111111111e15]", "12:30.", "::1.", "key=.", "12 34 56 7.", "(030) 1.", "+49.", "1.2.3.4.", "ey.J.", "xoxb-1.",
	} {
		f.Add("card number", s)
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if !harmless([]byte(text)) || len(name) > Context-len(contextEnd) {
			return
		}
		buf := append([]byte(name), contextEnd...)
		from := len(buf)
		var s Scanner
		if found, _ := s.Scan(nil, append(buf, text...), from, true); len(found) > 0 {
			t.Fatalf("in %q behind %q there is %v", text, name, found[0].Entity)
		}
	})
}
