// Package helm renders the chart by Helm's own engine, and holds it against what
// memgate render writes for the same values.
//
// It is a module of its own, so that none of Helm gets into memgate's.
package helm

import (
	"bytes"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// render renders the committed chart with values in place of its defaults.
func render(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	chart, err := loader.LoadDir("../../../envoy/chart")
	if err != nil {
		t.Fatal(err)
	}
	if err := chart.Validate(); err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "edge", Namespace: "memgate", IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
	return files["memgate/templates/memgate.yaml"], err
}

// objects reads documents, by kind.
func objects(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	all := make(map[string]map[string]any)
	for in := yaml.NewDecoder(strings.NewReader(text)); ; {
		var d map[string]any
		err := in.Decode(&d)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		kind, _ := d["kind"].(string)
		if kind == "" || all[kind] != nil {
			t.Fatalf("an object of kind %q, or a second one", kind)
		}
		all[kind] = d
	}
}

// policy takes the policy out of its object.
func policy(t *testing.T, all map[string]map[string]any) (decoded map[string]any) {
	t.Helper()
	data, _ := all["ConfigMap"]["data"].(map[string]any)
	text, _ := data["memgate.yaml"].(string)
	if err := yaml.Unmarshal([]byte(text), &decoded); err != nil || len(decoded) == 0 {
		t.Fatalf("%v in\n%s", err, text)
	}
	delete(all["ConfigMap"], "data")
	return decoded
}

// With its defaults the chart is what memgate render writes, but for the
// namespace, which Helm makes.
func TestDefaults(t *testing.T) {
	text, err := render(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := os.ReadFile("../../../envoy/kubernetes/memgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, rendered, _ = bytes.Cut(rendered, []byte("---\n"))
	got, want := objects(t, text), objects(t, string(rendered))
	delete(want, "Namespace")
	if got, want := policy(t, got), policy(t, want); !reflect.DeepEqual(got, want) {
		t.Errorf("the policy is\n%v, want\n%v", got, want)
	}
	if len(got) != len(want) || len(got) < 7 {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	for kind, object := range want {
		if !reflect.DeepEqual(got[kind], object) {
			t.Errorf("%s is\n%v, want\n%v", kind, got[kind], object)
		}
	}
}

// Values arrive where they belong.
func TestValues(t *testing.T) {
	text, err := render(t, map[string]any{
		"image": "registry.example/memgate@sha256:1", "replicas": 5, "pullSecret": "pull", "workloadNamespace": "shop",
		"filesSecret": "my-files", "envSecret": "my-env", "files": []any{"one.yaml"},
		"policy": map[string]any{"server": map[string]any{"grpc": "0.0.0.0:7001", "http": "0.0.0.0:7002"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"image: registry.example/memgate@sha256:1", "minReplicas: 5", "maxReplicas: 25", "minAvailable: 3", "- name: pull", "kubernetes.io/metadata.name: shop",
		"name: my-files", "name: my-env", "path: secrets/one.yaml", "port: 7001", "containerPort: 7002"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, not := range []string{"keys.pepper\n                    path", "stands-for", ": 9001", "<no value>"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in\n%s", not, text)
		}
	}
	objects(t, text)
}

// What the policy's schema refuses, Helm refuses.
func TestRefuses(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"an unknown value":          {"imagee": "x"},
		"no instance":               {"replicas": 0},
		"a name that is none":       {"filesSecret": "No Name"},
		"an unknown key of policy":  {"policy": map[string]any{"header": map[string]any{}}},
		"a wrong type in policy":    {"policy": map[string]any{"routes": "all"}},
		"a policy without a server": {"policy": map[string]any{"server": nil}},
		"an unknown action":         {"policy": map[string]any{"pii": map[string]any{"request": map[string]any{"default": "forget"}}}},
	} {
		if text, err := render(t, values); err == nil {
			t.Errorf("%s is rendered:\n%.300s", name, text)
		}
	}
}
