package rights

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxLine is the longest line of an export that is read, in bytes.
const MaxLine = 16 << 20

// ReadLines reads lines of an export, at most so many; more are ErrLine. Empty lines are passed over.
func ReadLines(r io.Reader, most int) ([]*Line, error) {
	var lines []*Line
	err := EachLine(r, func(l *Line) error {
		if len(lines) == most {
			return fmt.Errorf("%w: more than %d lines", ErrLine, most)
		}
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// EachLine calls do for each line of an export.
func EachLine(r io.Reader, do func(*Line) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, MaxLine)
	for n := 1; in.Scan(); n++ {
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		l := new(Line)
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(l); err != nil || d.More() || !utf8.Valid(text) {
			return fmt.Errorf("%w: line %d: not JSON of its shape", ErrLine, n)
		}
		if err := do(l); err != nil {
			return err
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%w: a line is too long", ErrLine)
	} else if err != nil {
		return err
	}
	return nil
}

// LineReason says what is wrong with lines, for the one who sent them.
func LineReason(err error) string {
	return strings.TrimPrefix(err.Error(), ErrLine.Error()+": ")
}
