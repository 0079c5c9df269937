//lint:file-ignore ST1003 the SDK's interfaces have these names

package main

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/verdict"
	"github.com/memgate/memgate/wasm/inspect"
)

const (
	// maxPolicies is the number of content policies that a VM keeps.
	maxPolicies = 512
	// fetchTimeout is how long memgate may take to serve one, in milliseconds.
	fetchTimeout = 1000
	// fetchTries is how often a content policy is asked for: while a new policy
	// spreads, one instance of memgate may have decided by it and another not know
	// it yet. No answer at all counts as three.
	fetchTries = 6
	// authority is the host that memgate's HTTP port is addressed by.
	authority = "memgate"
)

// plugin is what the streams of one VM share.
type plugin struct {
	types.DefaultPluginContext

	inspect.Config

	unknown *inspect.Rules
	cache   *inspect.Cache
	buffers buffers
	streams streams
	edit    headerEdit
	list    [][2]string // room for the headers of a callback

	pseudonyms inspect.Pseudonyms
	statistics statistics

	refused, findings, fetched, failed proxywasm.MetricCounter
}

// OnPluginStart reads the configuration. Without a valid one the plugin does
// not start, and the proxy refuses its configuration or all requests.
func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	at := mark()
	defer func() { giveBack(at) }()
	text, err := proxywasm.GetPluginConfiguration()
	if err == nil {
		p.Config, err = inspect.ParseConfig(text)
	}
	if err == nil {
		p.unknown, err = inspect.Unknown()
	}
	if err != nil {
		proxywasm.LogCritical("memgate: plugin configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	p.cache = inspect.NewCache(maxPolicies)
	p.refused = proxywasm.DefineCounterMetric("memgate.refused")
	p.findings = proxywasm.DefineCounterMetric("memgate.findings")
	p.fetched = proxywasm.DefineCounterMetric("memgate.policy_fetched")
	p.failed = proxywasm.DefineCounterMetric("memgate.policy_failed")
	// What this build reads, for 'memgate doctor': the name says it.
	proxywasm.DefineCounterMetric("memgate.reads." + string(verdict.Version) + "." + strconv.Itoa(content.Version))
	if err := proxywasm.SetTickPeriodMilliSeconds(flushPeriod); err != nil {
		proxywasm.LogCritical("memgate: no timer: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// OnTick is called each second.
func (p *plugin) OnTick() { p.statistics.flush() }

// headers returns the headers of the request or of the response, until the callback ends.
func (p *plugin) headers(kind int32) (inspect.Header, error) {
	list, err := headersOf(kind, p.list)
	if err == nil {
		p.list = list
	}
	return list, err
}

var (
	errStatus = errors.New("memgate does not serve it")
	errLength = errors.New("no answer, or one that is too long")
)

// fetch asks memgate for a content policy and calls then with it. Each stream
// that waits asks by itself: an answer to one stream cannot be relied on by
// another, as the proxy cancels a callout when its stream ends.
func (p *plugin) fetch(digest string, then func(*inspect.Rules)) error {
	return p.try(digest, fetchTries, then)
}

// try is [plugin.fetch] with so many tries left.
func (p *plugin) try(digest string, left int, then func(*inspect.Rules)) error {
	_, err := proxywasm.DispatchHttpCall(p.Cluster, [][2]string{
		{":method", "GET"},
		{":path", "/v1/content/" + digest},
		{":scheme", "http"},
		{":authority", authority},
		{"accept", "application/octet-stream"},
	}, nil, nil, fetchTimeout, func(_, size, _ int) {
		at := mark()
		defer func() { giveBack(at) }()
		rules, err := p.fetchedPolicy(digest, size)
		left--
		if errors.Is(err, errLength) {
			left -= 2
		}
		if err != nil && left > 0 && p.try(digest, left, then) == nil {
			return
		}
		if err != nil {
			p.failed.Increment(1)
			proxywasm.LogError("memgate: content policy " + digest + ": " + err.Error())
		}
		then(rules)
	})
	if err != nil {
		p.failed.Increment(1)
		proxywasm.LogError("memgate: cluster " + p.Cluster + " cannot be called: " + err.Error())
	}
	return err
}

// fetchedPolicy reads the answer of a callout. A size of zero is also how the
// proxy reports that there was none.
func (p *plugin) fetchedPolicy(digest string, size int) (*inspect.Rules, error) {
	if size <= 0 || size > content.MaxWire {
		return nil, errLength
	}
	list, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		return nil, err
	}
	if inspect.Header(list).Get(":status") != "200" {
		return nil, errStatus
	}
	wire, err := proxywasm.GetHttpCallResponseBody(0, size)
	if err != nil {
		return nil, err
	}
	rules, err := p.cache.Add(digest, bytes.Clone(wire))
	if err == nil {
		p.fetched.Increment(1)
	}
	return rules, err
}

// headerEdit replaces the headers of responses. What it needs for one serves the next.
type headerEdit struct {
	list [][2]string
	wire []byte
}

func (e *headerEdit) apply(rules *inspect.Rules, header inspect.Header, origin string, rewritten bool) (err error) {
	e.list = rules.ResponseHeader(e.list[:0], header, origin, rewritten)
	e.wire, err = replaceResponseHeaders(e.wire, e.list)
	clear(e.list) // what it refers to belongs to the response
	if cap(e.wire) > maxBuffer {
		e.list, e.wire = nil, nil
	}
	return err
}

const (
	// maxBuffers and maxBuffer bound what buffers keeps: their number, and the
	// bytes of each.
	maxBuffers = 16
	maxBuffer  = 128 << 10
)

// buffers are the buffers of finished streams, for those to come.
type buffers struct{ free [][]byte }

func (b *buffers) get() []byte {
	if n := len(b.free); n > 0 {
		buf := b.free[n-1]
		b.free = b.free[:n-1]
		return buf
	}
	return make([]byte, 0, 4<<10)
}

func (b *buffers) put(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= maxBuffer && len(b.free) < maxBuffers {
		b.free = append(b.free, buf[:0])
	}
}
