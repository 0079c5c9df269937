package mesh

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/memgate/memgate/filter/policy"
)

// value is an option as a Helm chart takes it: what stands for it while the
// objects are made, and the template that takes its place.
type value struct{ stand, template string }

// What stands for numbers: no object has one of these by itself.
const (
	standReplicas = 99_991 // and half of it, rounded up, and five times it
	standGRPC     = 9_973
	standHTTP     = 9_967
)

var chartItems = regexp.MustCompile(`(?m)^( +)items:\n(?: +- key: .*\n +path: .*\n)+`)

// Chart returns memgate itself as a Helm chart: the objects of [Kubernetes], with
// values for the options and for the policy, whose schema is that of the policy
// file. The policy and options given are the chart's defaults.
func Chart(p *policy.Policy, o Options) ([]File, error) {
	defaults, err := newEdge(p, o)
	if err != nil {
		return nil, err
	}
	stand := *defaults
	stand.Namespace, stand.WorkloadNamespace = "stands-for-namespace", "stands-for-workload-namespace"
	stand.FilesSecret, stand.EnvSecret, stand.PullSecret = "stands-for-files-secret", "stands-for-env-secret", "stands-for-pull-secret"
	stand.Image, stand.Policy = "stands-for-image", []byte("stands-for-policy\n")
	stand.Replicas, stand.grpc, stand.http = standReplicas, standGRPC, standHTTP
	file, err := stand.memgate(nil)
	if err != nil {
		return nil, err
	}
	text := string(file.Text)
	// Helm makes the namespace.
	_, text, ok := strings.Cut(text, "name: stands-for-namespace\n---\n")
	if !ok {
		return nil, errors.New("the namespace is not the first object")
	}
	port := func(of string) string { return `{{ .Values.policy.server.` + of + ` | splitList ":" | last }}` }
	const pull = "      imagePullSecrets:\n        - name: stands-for-pull-secret\n"
	for _, v := range []value{
		{"    stands-for-policy\n", "{{ toYaml .Values.policy | indent 4 }}\n"},
		{pull, "      {{- with .Values.pullSecret }}\n      imagePullSecrets:\n        - name: {{ . }}\n      {{- end }}\n"},
		{"stands-for-namespace", "{{ .Release.Namespace }}"},
		{"stands-for-workload-namespace", "{{ .Values.workloadNamespace }}"},
		{"stands-for-files-secret", "{{ .Values.filesSecret }}"},
		{"stands-for-env-secret", "{{ .Values.envSecret }}"},
		{"stands-for-image", "{{ .Values.image }}"},
		{strconv.Itoa(standReplicas), "{{ .Values.replicas }}"},
		{strconv.Itoa(5 * standReplicas), "{{ max 10 (mul .Values.replicas 5) }}"},
		{strconv.Itoa((standReplicas + 1) / 2), "{{ div (add .Values.replicas 1) 2 }}"},
		{strconv.Itoa(standGRPC), port("grpc")},
		{strconv.Itoa(standHTTP), port("http")},
	} {
		if !strings.Contains(text, v.stand) {
			return nil, fmt.Errorf("no object has %q", v.stand)
		}
		text = strings.ReplaceAll(text, v.stand, v.template)
	}
	text = chartItems.ReplaceAllString(text, "$1{{- with .Values.files }}\n${1}items:\n$1  {{- range . }}\n$1  - key: {{ . }}\n$1    path: "+secretsFolder+"{{ . }}\n$1  {{- end }}\n$1{{- end }}\n")
	if strings.Contains(text, "stands-for") {
		return nil, errors.New("an option has no value")
	}
	values, err := defaults.chartValues()
	if err != nil {
		return nil, err
	}
	schema, err := chartSchema()
	if err != nil {
		return nil, err
	}
	var about bytes.Buffer
	remark(&about, header)
	about.WriteString("apiVersion: v2\nname: memgate\ndescription: A security edge for HTTP services behind Envoy\ntype: application\nversion: 0.1.0\nkubeVersion: \">=1.30.0-0\"\n")
	return []File{
		{Name: "Chart.yaml", Text: about.Bytes()},
		{Name: "values.yaml", Text: values},
		{Name: "values.schema.json", Text: schema},
		{Name: "templates/memgate.yaml", Text: []byte(text)},
	}, nil
}

// chartValues are the defaults, with the policy as its author wrote it.
func (e *edge) chartValues() ([]byte, error) {
	var out bytes.Buffer
	remark(&out, header)
	files := []string{}
	for _, f := range e.files() {
		files = append(files, f.Key)
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for _, v := range []struct {
		comment string
		value   any
	}{
		{"Image of memgate, best with its digest.", map[string]string{"image": e.Image}},
		{"Secret for a private registry, if it needs one.", map[string]string{"pullSecret": e.PullSecret}},
		{"Instances, at least.", map[string]int{"replicas": e.Replicas}},
		{"Namespace of the protected service, whose pods may connect to memgate.", map[string]string{"workloadNamespace": e.WorkloadNamespace}},
		{"Secret whose members are files beside the policy in secrets/, and those that the policy names.", map[string]string{"filesSecret": e.FilesSecret}},
		{"", map[string][]string{"files": files}},
		{"Secret whose members are environment variables.", map[string]string{"envSecret": e.EnvSecret}},
	} {
		if v.comment != "" {
			remark(&out, v.comment)
		}
		text, err := yaml.Marshal(v.value)
		if err != nil {
			return nil, err
		}
		out.Write(text)
	}
	remark(&out, "The policy: memgate.yaml.")
	out.WriteString("policy:\n")
	for line := range strings.Lines(string(e.Policy)) {
		if strings.TrimSpace(line) != "" {
			line = "  " + line
		}
		out.WriteString(line)
	}
	return out.Bytes(), nil
}

// chartSchema is what Helm checks values by: the policy's own schema, and names.
func chartSchema() ([]byte, error) {
	var rules map[string]any
	if err := json.Unmarshal(policy.Schema(), &rules); err != nil {
		return nil, err
	}
	draft := rules["$schema"]
	delete(rules, "$schema")
	delete(rules, "$id")
	// The objects have memgate's ports.
	rules["required"] = append(anyList(rules["required"]), "server")
	name := map[string]any{"type": "string", "pattern": label.String()}
	out, err := json.MarshalIndent(map[string]any{
		"$schema": draft, "type": "object", "additionalProperties": false,
		"required": []string{"image", "replicas", "workloadNamespace", "filesSecret", "envSecret", "policy"},
		"properties": map[string]any{
			"global":            map[string]any{"type": "object"}, // Helm's own
			"image":             map[string]any{"type": "string", "minLength": 1},
			"pullSecret":        map[string]any{"anyOf": []any{name, map[string]any{"const": ""}}},
			"replicas":          map[string]any{"type": "integer", "minimum": 1},
			"workloadNamespace": name, "filesSecret": name, "envSecret": name,
			"files":  map[string]any{"type": "array", "items": map[string]any{"type": "string", "pattern": `^[A-Za-z0-9._-]+$`}},
			"policy": rules,
		},
	}, "", "  ")
	return append(out, '\n'), err
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}
