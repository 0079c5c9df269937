//go:build wasm

package main

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

//go:wasmimport env proxy_set_header_map_pairs
func proxySetHeaderMapPairs(mapType int32, list *byte, listSize int32) uint32

// responseHeaders is the number of that list in the ABI.
const responseHeaders = 2

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status uint32, details *byte, detailsSize int32,
	body *byte, bodySize int32, headers *byte, headersSize int32, grpcStatus int32) uint32

var (
	errReply   = errors.New("the proxy did not take the answer")
	errHeaders = errors.New("the proxy did not take the headers")
)

// replaceResponseHeaders makes headers those of the response. It writes them into
// room, which it returns for the next response: the proxy keeps none of it, and the
// SDK's own function copies each into new memory byte by byte.
func replaceResponseHeaders(room []byte, headers [][2]string) ([]byte, error) {
	room = serialize(room[:0], headers)
	if proxySetHeaderMapPairs(responseHeaders, unsafe.SliceData(room), int32(len(room))) != 0 {
		return room, errHeaders
	}
	return room, nil
}

// sendReply answers the request. It exists because the SDK's own function does
// not set the details, by which the proxy's configuration and its log tell the
// filter's answers from the proxy's.
func sendReply(status uint32, details string, headers [][2]string, body []byte) error {
	list := serialize(nil, headers)
	if proxySendLocalResponse(status, unsafe.StringData(details), int32(len(details)),
		unsafe.SliceData(body), int32(len(body)), unsafe.SliceData(list), int32(len(list)), -1) != 0 {
		return errReply
	}
	return nil
}

// serialize appends a header list as the proxy-wasm ABI has it.
func serialize(out []byte, headers [][2]string) []byte {
	out = binary.LittleEndian.AppendUint32(out, uint32(len(headers)))
	for _, h := range headers {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(h[0])))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(h[1])))
	}
	for _, h := range headers {
		out = append(append(out, h[0]...), 0)
		out = append(append(out, h[1]...), 0)
	}
	return out
}
