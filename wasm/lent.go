package main

// What the proxy hands over in a callback is written into one piece of memory, which
// the next callback uses again: memory that is used once is far from the processor, and
// is found again by the garbage collector. So nothing of it may be kept beyond the
// callback: what outlives it is copied.
const (
	lentSize = 64 << 10
	// maxLent is how long a single value may be; a longer one gets memory of its own.
	maxLent = 16 << 10
)

var (
	lentRoom [lentSize]byte
	lentUsed int
)

// lend returns n bytes until the callback ends. They hold what was there before.
func lend(n int) []byte {
	if n > maxLent || n > lentSize-lentUsed {
		return make([]byte, n)
	}
	at := lentUsed
	lentUsed = (at + n + 7) &^ 7
	return lentRoom[at : at+n : at+n]
}

// A callback begins with mark and ends with giveBack of what that returned, so that one
// that the proxy would call in the middle of another takes nothing away from it.
func mark() int { return lentUsed }

func giveBack(mark int) { lentUsed = mark }
