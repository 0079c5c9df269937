//lint:file-ignore ST1003 the SDK's interfaces have these names

// Command idle.wasm is a filter that does nothing: it waits for each body and
// takes it, as a filter that looks into bodies has to, and lets it go on as it
// came. It is what any filter of its kind costs, before it does anything.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return new(plugin) })
}

type plugin struct{ types.DefaultPluginContext }

// NewHttpContext is called for each request.
func (*plugin) NewHttpContext(uint32) types.HttpContext { return new(stream) }

type stream struct{ types.DefaultHttpContext }

func (*stream) OnHttpRequestHeaders(_ int, end bool) types.Action { return pauseUnless(end) }

func (*stream) OnHttpRequestBody(size int, end bool) types.Action {
	return take(size, end, proxywasm.GetHttpRequestBody)
}

func (*stream) OnHttpResponseHeaders(_ int, end bool) types.Action { return pauseUnless(end) }

func (*stream) OnHttpResponseBody(size int, end bool) types.Action {
	return take(size, end, proxywasm.GetHttpResponseBody)
}

func pauseUnless(end bool) types.Action {
	if end {
		return types.ActionContinue
	}
	return types.ActionPause
}

// take gets a body when it is complete. Whether that succeeded does not matter: it
// goes on in any case.
func take(size int, end bool, get func(start, max int) ([]byte, error)) types.Action {
	if end && size > 0 {
		_, _ = get(0, size)
	}
	return pauseUnless(end)
}
