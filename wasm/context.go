//lint:file-ignore ST1003 the SDK's interfaces have these names

package main

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"

// context is what the SDK knows of a stream. When the stream ends it lets go of it, so
// that the stream can serve another request: a callback that would still come traps, for
// which the proxy answers 503, and never meets the other's.
type context struct {
	types.DefaultHttpContext
	stream *stream
}

// NewHttpContext is called for each request.
func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	s := p.streams.get()
	s.plugin = p
	return &context{stream: s}
}

func (c *context) OnHttpRequestHeaders(_ int, end bool) types.Action {
	at := mark()
	action := c.stream.requestHeaders(end)
	giveBack(at)
	return action
}

func (c *context) OnHttpRequestBody(size int, end bool) types.Action {
	at := mark()
	action := c.stream.requestBody(size, end)
	giveBack(at)
	return action
}

func (c *context) OnHttpRequestTrailers(int) types.Action {
	at := mark()
	action := c.stream.requestTrailers()
	giveBack(at)
	return action
}

func (c *context) OnHttpResponseHeaders(_ int, end bool) types.Action {
	at := mark()
	action := c.stream.responseHeaders(end)
	giveBack(at)
	return action
}

func (c *context) OnHttpResponseBody(size int, end bool) types.Action {
	at := mark()
	action := c.stream.responseBody(size, end)
	giveBack(at)
	return action
}

func (c *context) OnHttpResponseTrailers(int) types.Action {
	at := mark()
	action := c.stream.responseTrailers()
	giveBack(at)
	return action
}

// OnHttpStreamDone is called once nothing of the stream follows.
func (c *context) OnHttpStreamDone() {
	if c.stream == nil {
		return
	}
	at := mark()
	c.stream.end()
	giveBack(at)
	c.stream = nil
}

// streams are those that have ended, for those to come. One that waited for its rules is
// not used again: what it waited with still knows it.
type streams struct{ free []*stream }

// maxStreams bounds what streams keeps.
const maxStreams = 64

func (s *streams) get() *stream {
	if n := len(s.free); n > 0 {
		last := s.free[n-1]
		s.free = s.free[:n-1]
		return last
	}
	return new(stream)
}

func (s *streams) put(done *stream) {
	if done.waited || len(s.free) == maxStreams {
		return
	}
	*done = stream{}
	s.free = append(s.free, done)
}
