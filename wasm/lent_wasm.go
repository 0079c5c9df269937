package main

import "unsafe"

const (
	lentSize = 64 << 10
	// maxLent is how long a single value may be; a longer one gets memory of its own.
	maxLent = 16 << 10
)

var lentRoom [lentSize]byte

// lend returns n bytes until the callback ends. They hold what was there before.
func lend(n int) []byte {
	if n > maxLent || n > lentSize-lentUsed {
		return make([]byte, n)
	}
	at := lentUsed
	lentUsed = (at + n + 7) &^ 7
	return lentRoom[at : at+n : at+n]
}

// malloc is asked by the proxy for the memory of what it hands over. It takes the place
// of the SDK's proxy_on_memory_allocate, which gives each value new memory.
//
//lint:ignore U1000 the proxy calls it
//go:wasmexport malloc
func malloc(size uint32) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(lend(int(size))))
}
