package policy

import (
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads the one document of data, refuses what a policy does not
// need of YAML, and returns the document's mapping, or nil.
func parseYAML(r *report, data []byte) *yaml.Node {
	start := position{1, 1}
	if len(data) > MaxFile {
		r.errorf(start, "too-large", "", "the file is larger than %s", Size(MaxFile))
		return nil
	}
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, next yaml.Node
	err := dec.Decode(&doc)
	if err == io.EOF || err == nil && (len(doc.Content) == 0 || doc.Content[0].Tag == "!!null") {
		r.errorf(start, "empty", "", "the file is empty; it needs at least version and upstream")
		return nil
	}
	if err == nil {
		if err = dec.Decode(&next); err == io.EOF {
			err = nil
		} else if err == nil {
			r.errorf(at(&next), "documents", "", "a second YAML document starts here; the file must hold one")
			return nil
		}
	}
	if err != nil {
		pos, message := syntaxError(err, data)
		r.errorf(pos, "syntax", "", "%s", message)
		return nil
	}
	root := doc.Content[0]
	if !inspect(r, root, 0) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.errorf(at(root), "type", "", "the file must be a mapping, such as version: 1")
		return nil
	}
	return root
}

// syntaxError takes the position out of an error of the YAML parser, which
// knows the line at most.
func syntaxError(err error, data []byte) (position, string) {
	pos, message := position{1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				pos.line, message = line, text
			}
		}
	}
	if strings.HasPrefix(message, "did not find expected") {
		if at, ok := bareTemplate(data); ok {
			return at, `a path with braces must stand in quotes where it is inside of { }: { path: "/a/{id}" }`
		}
		pos.line++ // here the parser counts lines from 0, up to where the section starts
		message += " in what starts here"
	}
	pos.line = max(1, min(pos.line, lastLine(data)))
	return pos, "not valid YAML: " + message
}

// lastLine is the number of the last line of data, which a message must not go
// beyond.
func lastLine(data []byte) int {
	return 1 + strings.Count(strings.TrimSuffix(string(data), "\n"), "\n")
}

// bareTemplate finds a path template without quotes inside of a flow mapping,
// where YAML takes its braces for a mapping.
func bareTemplate(data []byte) (position, bool) {
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		before, value, ok := strings.Cut(line, "path: /")
		if !ok || !strings.Contains(before, "{") || strings.ContainsAny(before, "#\"'") {
			continue
		}
		if end := strings.IndexAny(value, " ,}\n"); end < 0 || strings.Contains(value[:end], "{") {
			return position{number, len([]rune(before)) + len("path: ") + 1}, true
		}
	}
	return position{}, false
}

// maxDepth bounds the nesting of the file; the deepest member has depth 6.
const maxDepth = 32

// inspect refuses anchors, aliases, merge keys, explicit tags and deep nesting:
// none of them is needed, and each makes a file mean other than it seems to.
func inspect(r *report, n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		r.errorf(at(n), "too-deep", "", "nested more than %d levels deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode:
		r.errorf(at(n), "alias", "", "aliases (*name) are not supported; write the value out")
		return false
	case n.Anchor != "":
		r.errorf(at(n), "alias", "", "anchors (&name) are not supported; write the value out where it is used")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.errorf(at(n), "tag", "", "tags (!name) are not supported; remove it")
		return false
	}
	ok := true
	for _, child := range n.Content {
		ok = inspect(r, child, depth+1) && ok
		if len(r.findings) >= maxFindings {
			break
		}
	}
	return ok
}

// scanLines looks for literal credentials in every line of the file, comments
// and keys included.
func scanLines(r *report, data []byte) {
	if len(data) > MaxFile {
		return
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if what, i := findSecret(line); what != "" {
			r.errorf(position{number, len([]rune(line[:i])) + 1}, "secret", "",
				"this looks like %s; secrets never stand in the file: use env:NAME or file:PATH where one is needed, and replace this one, as it may have been seen", what)
		}
	}
}

func at(n *yaml.Node) position { return position{n.Line, n.Column} }
