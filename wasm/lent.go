package main

// What the proxy hands over in a callback is written into one piece of memory, which
// the next callback uses again: memory that is used once is far from the processor, and
// is found again by the garbage collector. So nothing of it may be kept beyond the
// callback: what outlives it is copied.

// lentUsed is how much of that memory is lent.
var lentUsed int

// A callback begins with mark and ends with giveBack of what that returned, so that one
// that the proxy would call in the middle of another takes nothing away from it.
func mark() int { return lentUsed }

func giveBack(mark int) {
	takenBack(mark, lentUsed)
	lentUsed = mark
}
