package policy

import "time"

// Concurrency is how many requests of a tenant may be under way at once.
type Concurrency struct {
	Tenant  int            `yaml:"tenant" doc:"requests of a tenant that may be under way at once" required:"true" min:"1" max:"1000000"`
	Classes map[string]int `yaml:"classes" doc:"class name to a number of its own: requests of that class count apart from the tenant's others"`
	Hold    Duration       `yaml:"hold" doc:"after how long a request counts as ended when Envoy does not say so, as after a crash; 0s for the longest that upstream.timeout lets it take, or an hour without one (streams)" default:"0s" min:"0s" max:"24h"`
}

const (
	// receiveTime is how long the rendered Envoy lets a client take to send a
	// request.
	receiveTime = 60 * time.Second
	// holdMargin is for all that a request waits for beside.
	holdMargin = 10 * time.Second
	// streamHold is the hold where nothing bounds a response.
	streamHold = time.Hour
	// maxConcurrency is the bound of each number.
	maxConcurrency = 1_000_000
)

// ConcurrencyHold is after how long a request counts as ended by itself.
func (p *Policy) ConcurrencyHold() time.Duration {
	switch c := p.Limits.Concurrency; {
	case c != nil && c.Hold > 0:
		return time.Duration(c.Hold)
	case p.Upstream.Timeout == 0:
		return streamHold
	}
	return receiveTime + time.Duration(p.Upstream.Timeout) + holdMargin
}

func (l *linter) concurrency() {
	c := l.p.Limits.Concurrency
	if c == nil {
		return
	}
	classes := sortedKeys(l.p.Limits.Classes)
	for _, name := range sortedKeys(c.Classes) {
		path := join("limits.concurrency.classes", name)
		if _, ok := l.p.Limits.Classes[name]; !ok {
			l.err(path, "class", "limits.classes has no class %s%s", show(name), didYouMean(name, classes))
		}
		if n := c.Classes[name]; n < 1 || n > maxConcurrency {
			l.err(path, "range", "must be from 1 to %d", maxConcurrency)
		}
	}
	longest := Duration(receiveTime) + l.p.Upstream.Timeout
	if c.Hold > 0 && l.p.Upstream.Timeout > 0 && c.Hold < longest {
		l.warn("limits.concurrency.hold", "hold", "is shorter than a request can take (%s by upstream.timeout, and a minute to send it), so that one which takes longer is not counted to its end", l.p.Upstream.Timeout)
	}
}
