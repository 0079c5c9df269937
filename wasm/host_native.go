//go:build !wasm

package main

import (
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// replaceResponseHeaders makes headers those of the response.
func replaceResponseHeaders(room []byte, headers [][2]string) ([]byte, error) {
	return room, proxywasm.ReplaceHttpResponseHeaders(headers)
}

// sendReply answers the request; outside of Wasm there are no details.
func sendReply(status uint32, _ string, headers [][2]string, body []byte) error {
	return proxywasm.SendHttpResponse(status, headers, body, -1)
}

// headersOf returns the headers of the request or of the response; it has no use for room.
func headersOf(kind int32, _ [][2]string) ([][2]string, error) {
	if kind == requestHeaders {
		return proxywasm.GetHttpRequestHeaders()
	}
	return proxywasm.GetHttpResponseHeaders()
}

// property returns a property of the request.
func property(path string) ([]byte, bool) {
	value, err := proxywasm.GetProperty(strings.Split(path, "\x00"))
	return value, err == nil
}
