package pii

import "bytes"

// partHead is what the header of a part says.
type partHead struct {
	name        []byte
	contentType string
	plain       bool // its body is not encoded
}

// readPartHead reads the lines of a part's header (RFC 7578, section 4), without the
// last line's end. Each name stands once, no line is folded.
func readPartHead(text []byte) (partHead, bool) {
	h := partHead{plain: true}
	named, typed, encoded := false, false, false
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\r\n"))
		text = rest
		if bytes.ContainsAny(line, "\r\n\x00") {
			return h, false
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t\"") {
			return h, false
		}
		value = bytes.Trim(value, " \t")
		switch {
		case bytes.EqualFold(name, []byte("content-disposition")):
			if named {
				return h, false
			}
			if h.name, named = partName(value); !named {
				return h, false
			}
		case bytes.EqualFold(name, []byte("content-type")):
			if typed {
				return h, false
			}
			typed, h.contentType = true, string(value)
		case bytes.EqualFold(name, []byte("content-transfer-encoding")):
			if encoded {
				return h, false
			}
			encoded = true
			h.plain = bytes.EqualFold(value, []byte("7bit")) || bytes.EqualFold(value, []byte("8bit")) || bytes.EqualFold(value, []byte("binary"))
		}
	}
	return h, named
}

// partName returns the name in the value of a Content-Disposition, form-data.
func partName(value []byte) (name []byte, ok bool) {
	kind, params, _ := bytes.Cut(value, []byte(";"))
	if !bytes.EqualFold(bytes.Trim(kind, " \t"), []byte("form-data")) {
		return nil, false
	}
	for {
		params = bytes.TrimLeft(params, " \t;")
		if len(params) == 0 {
			return name, ok
		}
		key, rest, found := bytes.Cut(params, []byte("="))
		if !found {
			return nil, false
		}
		var text []byte
		if len(rest) > 0 && rest[0] == '"' {
			end := 1
			for ; end < len(rest) && rest[end] != '"'; end++ {
				if rest[end] == '\\' && end+1 < len(rest) {
					end++
				}
				text = append(text, rest[end])
			}
			if end >= len(rest) {
				return nil, false
			}
			rest = rest[end+1:]
			if rest = bytes.TrimLeft(rest, " \t"); len(rest) > 0 && rest[0] != ';' {
				return nil, false
			}
		} else {
			text, rest, _ = bytes.Cut(rest, []byte(";"))
			text = bytes.TrimRight(text, " \t")
		}
		params = rest
		switch key = bytes.TrimRight(key, " \t"); {
		case bytes.EqualFold(key, []byte("name")):
			if ok {
				return nil, false
			}
			name, ok = text, true
		case bytes.EqualFold(key, []byte("name*")):
			return nil, false // RFC 7578, section 4.2
		}
	}
}
