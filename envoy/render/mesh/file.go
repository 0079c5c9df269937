package mesh

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is one of those that are written.
type File struct {
	Name string
	Text []byte
}

// document is an object and what a user should know about it.
type document struct {
	comment string
	object  any
}

const header = `Written by "memgate render" from the policy file. Do not edit: change the
policy, or the command's flags, and render again.`

// newFile writes documents down, each with its comment above it.
func newFile(name, comment string, documents ...document) (File, error) {
	var out bytes.Buffer
	remark(&out, header)
	out.WriteString("#\n")
	remark(&out, comment)
	for _, d := range documents {
		out.WriteString("---\n")
		if d.comment != "" {
			remark(&out, d.comment)
		}
		enc := yaml.NewEncoder(&out)
		enc.SetIndent(2)
		if err := enc.Encode(d.object); err != nil {
			return File{}, err
		}
		if err := enc.Close(); err != nil {
			return File{}, err
		}
	}
	return File{Name: name, Text: out.Bytes()}, nil
}

func remark(out *bytes.Buffer, text string) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		out.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
}
