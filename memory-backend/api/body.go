package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// maxDepth is how deep a body may be nested.
const maxDepth = 32

var (
	errDuplicate = errors.New("a member occurs twice")
	errTooDeep   = errors.New("nested too deep")
	errTrailing  = errors.New("something follows the value")
	errUTF8      = errors.New("not UTF-8")
	errNumber    = errors.New("a number is out of range")
)

// readBody reads the JSON object of a request. A missing body counts as an empty object when optional.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, optional bool) (*form, error) {
	data, err := readJSON(w, r, limit, optional)
	if err != nil {
		return nil, err
	}
	f := &form{raw: data, loc: []any{"body"}, issues: new([]issue)}
	if len(data) == 0 {
		return f, nil
	}
	value, err := parseJSON(data)
	if err != nil {
		return nil, malformedJSON("The body is not valid JSON: " + jsonReason(err) + ".")
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, invalid([]issue{{"model_attributes_type", f.loc, "Input should be a valid object"}})
	}
	f.members = members
	return f, nil
}

// maxDrain is how much of a body that is too large is read to nobody, so that its sender gets to the answer
// before the connection ends.
const maxDrain = 8 << 20

// readAll reads a body of at most limit bytes.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, malformedJSON("The body could not be read.")
	}
	if int64(len(data)) > limit {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxDrain))
		return nil, tooLarge("The body is larger than the service accepts.")
	}
	return data, nil
}

// readJSON reads a body that says that it is JSON; it is empty only when that is optional.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, optional bool) ([]byte, error) {
	data, err := readAll(w, r, limit)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 && optional {
		return nil, nil
	}
	if len(data) == 0 {
		return nil, invalid([]issue{{"missing", []any{"body"}, "Field required"}})
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type",
			"Send the body as application/json.")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "unsupported-encoding", "Unsupported encoding",
			"Send the body without a content encoding.")
	}
	return data, nil
}

// jsonReason says what is wrong without repeating what was sent.
func jsonReason(err error) string {
	for _, known := range []error{errDuplicate, errTooDeep, errTrailing, errUTF8, errNumber} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "it cannot be parsed"
}

// parseJSON parses one JSON text strictly (RFC 8259): valid UTF-8, no member twice, nothing after it, and
// at most maxDepth levels. Objects are map[string]any, numbers are json.Number
// within the range of float64.
func parseJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errUTF8
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if _, err := t.Float64(); err != nil {
			return nil, errNumber
		}
		return t, nil // as written, so that large numbers in metadata stay exact
	case json.Delim:
		if depth == maxDepth {
			return nil, errTooDeep
		}
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := parseValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		members := make(map[string]any)
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			name := k.(string) // the decoder accepts nothing else here
			if _, twice := members[name]; twice {
				return nil, errDuplicate
			}
			if members[name], err = parseValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return members, err
	default:
		return t, nil
	}
}

// asNumber returns a number of a parsed value.
func asNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		n, err := v.Float64()
		return n, err == nil
	case float64:
		return v, true
	}
	return 0, false
}
