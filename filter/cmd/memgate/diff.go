package main

import (
	"bytes"
	"fmt"
	"slices"
)

// around is how many equal lines are shown around what differs.
const around = 3

// edit is one line of a difference: ' ', '-' or '+'.
type edit struct {
	kind byte
	line []byte
}

// difference is what makes b of a, in the unified format of diff(1).
func difference(name string, a, b []byte) []byte {
	edits := edits(lines(a), lines(b))
	var out bytes.Buffer
	fmt.Fprintf(&out, "--- %s\n+++ %s (rendered)\n", name, name)
	shown := make([]bool, len(edits))
	for i := range edits {
		if edits[i].kind != ' ' {
			for j := max(0, i-around); j <= min(len(edits)-1, i+around); j++ {
				shown[j] = true
			}
		}
	}
	from, to := 1, 1 // line numbers
	for i := 0; i < len(edits); {
		if !shown[i] {
			from, to, i = from+1, to+1, i+1
			continue
		}
		end, left, right := i, 0, 0
		for ; end < len(edits) && shown[end]; end++ {
			if edits[end].kind != '+' {
				left++
			}
			if edits[end].kind != '-' {
				right++
			}
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n", from, left, to, right)
		for ; i < end; i++ {
			out.WriteByte(edits[i].kind)
			out.Write(edits[i].line)
			out.WriteByte('\n')
		}
		from, to = from+left, to+right
	}
	return out.Bytes()
}

func lines(text []byte) [][]byte {
	if len(text) == 0 {
		return nil
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

// edits is a shortest way from a to b (E. W. Myers, An O(ND) Difference Algorithm
// and Its Variations, 1986).
func edits(a, b [][]byte) []edit {
	most := len(a) + len(b)
	at := make([]int, 2*most+2) // furthest x on each diagonal
	var trace [][]int
search:
	for d := 0; d <= most; d++ {
		trace = append(trace, slices.Clone(at))
		for k := -d; k <= d; k += 2 {
			x := at[most+max(k-1, -most)] + 1
			if k == -d || k != d && at[most+k-1] < at[most+k+1] {
				x = at[most+k+1]
			}
			for x < len(a) && x-k < len(b) && bytes.Equal(a[x], b[x-k]) {
				x++
			}
			at[most+k] = x
			if x >= len(a) && x-k >= len(b) {
				break search
			}
		}
	}
	var out []edit
	x, y := len(a), len(b)
	for d := len(trace) - 1; d >= 0; d-- {
		at, k := trace[d], x-y
		previous := k - 1
		if k == -d || k != d && at[most+k-1] < at[most+k+1] {
			previous = k + 1
		}
		px := 0
		if d > 0 {
			px = at[most+previous]
		}
		py := px - previous
		if d == 0 {
			px, py = 0, 0
		}
		for x > px && y > py {
			x, y = x-1, y-1
			out = append(out, edit{' ', a[x]})
		}
		if d > 0 && x > px {
			x--
			out = append(out, edit{'-', a[x]})
		} else if d > 0 && y > py {
			y--
			out = append(out, edit{'+', b[y]})
		}
	}
	slices.Reverse(out)
	return out
}
