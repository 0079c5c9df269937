package pii

// Format is how a [Rewriter] reads a body.
type Format uint8

const (
	// JSON is one JSON value (RFC 8259).
	JSON Format = iota
	// NDJSON is one JSON value on each line. Empty lines are skipped.
	NDJSON
	// Text is plain text of any encoding that has ASCII as it is.
	Text
	// Form is application/x-www-form-urlencoded: names and values with percent
	// escapes and '+' for a space.
	Form
	// SSE is an event stream (text/event-stream; WHATWG HTML, section 9.2). The
	// data of each event is read as JSON where it begins like an object, an array
	// or a string, and otherwise as text.
	SSE
	// Multipart is multipart/form-data (RFC 7578): parts with a type of their own.
	Multipart
	// NumFormats is how many formats there are.
	NumFormats
)

// String returns the format's name in lower case, such as "ndjson".
func (f Format) String() string {
	switch f {
	case JSON:
		return "json"
	case NDJSON:
		return "ndjson"
	case Text:
		return "text"
	case Form:
		return "form"
	case SSE:
		return "sse"
	case Multipart:
		return "multipart"
	}
	return "unknown"
}
