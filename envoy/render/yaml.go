package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const yamlHeader = `# Written by "memgate render envoy" from the policy file. Do not edit: change the
# policy and render again.
`

// YAML writes m as YAML that Envoy reads: names as in the protocol buffers'
// definitions, members in the order of their declaration, one form for one
// message. A list of several messages that occurs again under the same name is
// written once and referred to after that. It fails when m holds an Any whose type is not linked in.
func YAML(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	// Decoded token by token, because a map would lose the order.
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	node, err := yamlNode(dec)
	if err != nil {
		return nil, err
	}
	share(node, make(map[string]*yaml.Node))
	out := bytes.NewBufferString(yamlHeader)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func yamlNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		kind, tag := yaml.MappingNode, "!!map"
		if t == '[' {
			kind, tag = yaml.SequenceNode, "!!seq"
		}
		node := &yaml.Node{Kind: kind, Tag: tag}
		for dec.More() {
			child, err := yamlNode(dec)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err := dec.Token() // the closing bracket
		return node, err
	case string:
		node := new(yaml.Node)
		node.SetString(t)
		return node, nil
	case json.Number:
		tag := "!!int"
		if bytes.ContainsAny([]byte(t), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(t)}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	return nil, errors.New("unexpected token in JSON")
}

// minShared is the length of the shortest list that share refers to.
const minShared = 3

// share replaces a list that occurred before under the same name by an alias.
func share(node *yaml.Node, seen map[string]*yaml.Node) {
	if node.Kind != yaml.MappingNode {
		for _, child := range node.Content {
			share(child, seen)
		}
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, child := node.Content[i].Value, node.Content[i+1]
		if child.Kind != yaml.SequenceNode || len(child.Content) < minShared || child.Content[0].Kind != yaml.MappingNode {
			share(child, seen)
			continue
		}
		first, known := seen[name]
		switch {
		case !known:
			seen[name] = child
			share(child, seen)
		case equal(first, child):
			first.Anchor = name
			node.Content[i+1] = &yaml.Node{Kind: yaml.AliasNode, Value: name, Alias: first}
		default:
			share(child, seen)
		}
	}
}

func equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
