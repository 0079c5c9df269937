package storetest

// Size returns how many of n things a test does: all of them, or a twelfth under the race detector, which makes an
// engine in pure Go ten times slower. What the race detector looks for shows in few of them too.
func Size(n int) int {
	if underRace {
		return (n + 11) / 12
	}
	return n
}
