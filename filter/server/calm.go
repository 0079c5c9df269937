package server

import (
	"os"
	"runtime/debug"
)

// gcPercent lets garbage grow to this part of what lives before it is collected.
// What lives is small beside what each request leaves behind, and with Go's own 100
// the collector took a good part of the time.
const gcPercent = 400

// calm sets how often garbage is collected, unless the operator has.
func calm() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
