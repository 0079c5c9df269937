//go:build !wasm

package main

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

// replaceResponseHeaders makes headers those of the response.
func replaceResponseHeaders(room []byte, headers [][2]string) ([]byte, error) {
	return room, proxywasm.ReplaceHttpResponseHeaders(headers)
}

// sendReply answers the request; outside of Wasm there are no details.
func sendReply(status uint32, _ string, headers [][2]string, body []byte) error {
	return proxywasm.SendHttpResponse(status, headers, body, -1)
}
