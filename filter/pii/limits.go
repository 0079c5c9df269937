package pii

import "strconv"

// FieldLimit bounds the size of one member of a JSON body, or of one name of a
// form.
type FieldLimit struct {
	// Path names the member from the root: names joined by dots, "[]" behind a
	// name for each element of that array. Examples: "content", "metadata",
	// "messages[].content", "[].id".
	Path string
	// Max is the greatest size in bytes: of the decoded UTF-8 for a string, of
	// the text as it was sent for any other value.
	Max int
}

// FieldError says that a value is larger than its [FieldLimit].
type FieldError struct {
	// Path is the path of the limit.
	Path string
}

func (e *FieldError) Error() string { return "field too large: " + strconv.Quote(e.Path) }
