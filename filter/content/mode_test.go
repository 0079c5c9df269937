package content

import "testing"

// Every valid combination of modes survives the encoding, and each has a digest
// of its own.
func TestModes(t *testing.T) {
	seen := make(map[string]Modes)
	for n := uint64(0); n <= modesMost; n++ {
		if others := uint64(1)<<(5*modeBits) - 1; n > others && n&others != 0 {
			continue // tenant and agent depend on no other
		}
		p := example(t)
		p.Modes = modesOf(n)
		if p.Modes.number() != n {
			t.Fatalf("%d becomes %d", n, p.Modes.number())
		}
		wire := p.AppendBinary(nil)
		got, err := Parse(wire)
		if valid := p.Modes.validate() == nil && (p.Modes.Content == Enforce || p.Modes.Poison != Enforce); valid != (err == nil) {
			t.Errorf("%+v: %v", p.Modes, err)
		}
		if err != nil {
			continue
		}
		if got.Modes != p.Modes {
			t.Errorf("%+v becomes %+v", p.Modes, got.Modes)
		}
		if other, ok := seen[Digest(wire)]; ok {
			t.Errorf("%+v and %+v have one digest", p.Modes, other)
		}
		seen[Digest(wire)] = p.Modes
	}
	// Three modes for each of cors and headers. With content enforced pii and poison have
	// three each, else both have two. Beside these are those of tenant and agent.
	if len(seen) != 3*3*(3*3+2*2*2)+3*3-1 {
		t.Errorf("%d combinations are valid", len(seen))
	}
}
