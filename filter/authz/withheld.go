package authz

// withheld are the headers that a route may keep from the upstream, of which only
// those that were sent are removed: each name costs Envoy a search.
var withheld = [...]string{
	// By these a proxy in front tells what it was asked for. They are worth nothing
	// where no such proxy is trusted. Envoy itself sees to X-Forwarded-For and
	// X-Forwarded-Proto.
	"forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-scheme", "x-host",
	// With these an upstream answers with what cannot be searched, or with a part
	// of what the client never had. The Wasm filter removes them too, which costs
	// a call from there for each. If-None-Match is left to the filter: of a method that
	// writes it is a precondition, and stays.
	"accept-encoding", "range", "if-range", "if-modified-since",
}

// numForwarding is how many of withheld a proxy in front sends.
const numForwarding = 6

// headerSet is a set of withheld, by index.
type headerSet uint16

const (
	forwarding  headerSet = 1<<numForwarding - 1
	conditional headerSet = 1<<len(withheld) - 1 - forwarding
)

// add adds a header if it is one of withheld.
func (s *headerSet) add(name string) {
	for i := range withheld {
		if named(name, withheld[i]) {
			*s |= 1 << i
			return
		}
	}
}

// appendTo appends the names in s.
func (s headerSet) appendTo(dst []string) []string {
	for i := 0; s != 0; i, s = i+1, s>>1 {
		if s&1 != 0 {
			dst = append(dst, withheld[i])
		}
	}
	return dst
}
