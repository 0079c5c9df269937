//go:build wasm

package main

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

//go:wasmimport env proxy_set_header_map_pairs
func proxySetHeaderMapPairs(mapType int32, list *byte, listSize int32) uint32

//go:wasmimport env proxy_get_header_map_pairs
func proxyGetHeaderMapPairs(mapType int32, list unsafe.Pointer, listSize unsafe.Pointer) uint32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path *byte, pathSize int32, value, valueSize unsafe.Pointer) uint32

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status uint32, details *byte, detailsSize int32,
	body *byte, bodySize int32, headers *byte, headersSize int32, grpcStatus int32) uint32

var (
	errReply   = errors.New("the proxy did not take the answer")
	errHeaders = errors.New("the proxy did not take or give the headers")
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

// headersOf returns the headers of the request or of the response, in room if it is
// large enough. They last as long as the callback.
func headersOf(kind int32, room [][2]string) ([][2]string, error) {
	var list *byte
	var size int32
	if proxyGetHeaderMapPairs(kind, unsafe.Pointer(&list), unsafe.Pointer(&size)) != 0 || list == nil {
		return nil, errHeaders
	}
	return deserialize(room[:0], unsafe.String(list, size)), nil
}

// deserialize appends a header list in the form of the proxy-wasm ABI to list, whose
// strings are parts of wire. One that the proxy did not write traps.
func deserialize(list [][2]string, wire string) [][2]string {
	number := func(at int) int {
		w := wire[at : at+4]
		return int(uint32(w[0]) | uint32(w[1])<<8 | uint32(w[2])<<16 | uint32(w[3])<<24)
	}
	n := number(0)
	at := 4 + 8*n
	for i := range n {
		name, value := number(4+8*i), number(8+8*i)
		list = append(list, [2]string{wire[at : at+name], wire[at+name+1 : at+name+1+value]})
		at += name + value + 2
	}
	return list
}

// property returns a property of the request, until the callback ends.
func property(path string) ([]byte, bool) {
	var value *byte
	var size int32
	if proxyGetProperty(unsafe.StringData(path), int32(len(path)), unsafe.Pointer(&value), unsafe.Pointer(&size)) != 0 {
		return nil, false
	}
	return unsafe.Slice(value, size), true
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
