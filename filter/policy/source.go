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
		line, message := syntaxError(err)
		r.errorf(position{line, 1}, "syntax", "", "not valid YAML: %s", message)
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

// syntaxError takes the line out of an error of the YAML parser.
func syntaxError(err error) (int, string) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				return line, text
			}
		}
	}
	return 1, message
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
