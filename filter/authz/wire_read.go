package authz

import "unicode/utf8"

// field is one field of a protobuf message on the wire.
type field struct {
	number uint64
	text   string // of the wire type LEN, else ""
	value  uint64 // of the wire type VARINT, else 0
	varint bool   // whether it is of the wire type VARINT
	long   bool   // whether it is of the wire type LEN
}

// next takes the first field off a message. It is false for what is no field,
// and for groups, which nobody sends.
func next(message string) (f field, rest string, ok bool) {
	tag, rest, ok := uvarint(message)
	f.number = tag >> 3
	if !ok || f.number == 0 || f.number >= 1<<29 {
		return f, "", false
	}
	size := uint64(0)
	switch tag & 7 {
	case 0:
		f.varint = true
		f.value, rest, ok = uvarint(rest)
		return f, rest, ok
	case 1:
		size = 8
	case 2:
		f.long = true
		if size, rest, ok = uvarint(rest); !ok {
			return f, "", false
		}
	case 5:
		size = 4
	default:
		return f, "", false
	}
	if size > uint64(len(rest)) {
		return f, "", false
	}
	if f.long {
		f.text = rest[:size]
	}
	return f, rest[size:], true
}

func uvarint(s string) (value uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < 10; i++ {
		c := s[i]
		if i == 9 && c > 1 {
			return 0, "", false
		}
		value |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return value, s[i+1:], true
		}
	}
	return 0, "", false
}

// readCheck reads a CheckRequest as [fromCheck] does, without making its parts:
// all that the request holds is a piece of message. It is false for a message
// that is none, and for one that Envoy does not write: one that describes no HTTP
// request, repeats what stands once, or has headers that were joined. Those are
// for the protobuf library to read.
func readCheck(r *Request, message string) bool {
	attributes, ok := once(message, 1)
	if !ok {
		return false
	}
	var source, request string
	for hasSource, hasRequest := false, false; attributes != ""; {
		var f field
		if f, attributes, ok = next(attributes); !ok {
			return false
		}
		switch {
		case !f.long:
		case f.number == 1:
			if hasSource {
				return false
			}
			source, hasSource = f.text, true
		case f.number == 4:
			if hasRequest {
				return false
			}
			request, hasRequest = f.text, true
		}
	}
	http, ok := once(request, 2)
	return ok && r.readSource(source) && r.readHTTP(http)
}

// once returns the embedded message of that number, which must be there once.
func once(message string, number uint64) (inner string, found bool) {
	for message != "" {
		var f field
		var ok bool
		if f, message, ok = next(message); !ok {
			return "", false
		}
		if f.number == number && f.long {
			if found {
				return "", false
			}
			inner, found = f.text, true
		}
	}
	return inner, found
}

// readSource reads AttributeContext.Peer.
func (r *Request) readSource(message string) bool {
	address, found := "", false
	for message != "" {
		var f field
		var ok bool
		if f, message, ok = next(message); !ok {
			return false
		}
		switch {
		case !f.long:
		case f.number == 1:
			if found {
				return false
			}
			address, found = f.text, true
		case f.number == 4:
			r.Peer = f.text
		case f.number == 5:
			r.Certificate = f.text
		}
	}
	return utf8.ValidString(r.Peer) && utf8.ValidString(r.Certificate) && (address == "" || r.readAddress(address))
}

// readAddress reads core.v3.Address, of which only one with a socket's is
// expected: the others are in its place and not beside it.
func (r *Request) readAddress(message string) bool {
	f, rest, ok := next(message)
	if !ok || rest != "" || f.number != 1 || !f.long {
		return false
	}
	for socket := f.text; socket != ""; {
		if f, socket, ok = next(socket); !ok {
			return false
		}
		if f.number == 2 && f.long {
			r.Address = f.text
		}
	}
	return utf8.ValidString(r.Address)
}

// readHTTP reads AttributeContext.HttpRequest.
func (r *Request) readHTTP(message string) bool {
	list := ""
	for message != "" {
		var f field
		var ok bool
		if f, message, ok = next(message); !ok {
			return false
		}
		if !f.long {
			continue
		}
		switch f.number {
		case 1:
			r.ID = f.text
		case 2:
			r.Method = f.text
		case 4:
			r.Path = f.text
		case 5:
			r.Host = f.text
		case 6:
			r.Scheme = f.text
		case 13:
			if list != "" {
				return false
			}
			list = f.text
		default:
			continue
		}
		if f.number != 13 && !utf8.ValidString(f.text) {
			return false
		}
	}
	return list != "" && r.readHeaders(list)
}

// readHeaders reads core.v3.HeaderMap: each header line by itself, as Envoy sends
// them with encode_raw_headers.
func (r *Request) readHeaders(message string) bool {
	for list := message; list != ""; {
		name, value, rest, ok := nextHeader(list)
		if !ok {
			return false
		}
		r.read(name, value)
		list = rest
	}
	r.wire = message
	return message != ""
}

// nextHeader takes the first header off a core.v3.HeaderMap.
func nextHeader(list string) (name, value, rest string, ok bool) {
	f, rest, ok := next(list)
	if !ok || f.number != 1 || !f.long {
		return "", "", "", false
	}
	raw := ""
	for header := f.text; header != ""; {
		if f, header, ok = next(header); !ok {
			return "", "", "", false
		}
		switch {
		case !f.long:
		case f.number == 1:
			name = f.text
		case f.number == 2:
			value = f.text
		case f.number == 3:
			raw = f.text
		}
	}
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return "", "", "", false
	}
	if raw != "" {
		value = raw
	}
	return name, value, rest, true
}
