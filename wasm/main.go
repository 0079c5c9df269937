// Command memgate.wasm is the content filter: a proxy-wasm plugin that applies
// to each request and response the content policy that the authz service named.
//
// It has no policy of its own. The digest of a content policy comes with the
// dynamic metadata of ext_authz; the policy itself comes once per VM from
// memgate, by an HTTP callout, and is kept. What a policy means stands in
// package inspect; here is only what the proxy's callbacks make necessary:
// which bytes are held where, and when headers may still change.
//
// It fails closed. Without metadata, without a policy, or with a body that it
// cannot read, the request ends here. A panic traps the VM, for which the proxy
// answers 503.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

// The proxy calls the module's initializers, never main.
func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return new(plugin) })
}
