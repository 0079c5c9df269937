// Package static holds the rendered objects against the definitions that a
// cluster would hold them against: those of Kubernetes itself, and the custom ones
// that ship with Istio, the Gateway API and Envoy Gateway, rules in CEL included.
//
// It is a module of its own, so that none of this gets into memgate's.
package static

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kubectl-validate/pkg/openapiclient"
	"sigs.k8s.io/kubectl-validate/pkg/validator"
)

// kubernetes is the newest version whose definitions the validator has.
const kubernetes = "1.30"

// definitions are folders of custom resource definitions in published modules.
var definitions = map[string]string{
	"istio.io/api@v1.31.1":                 "kubernetes",
	"sigs.k8s.io/gateway-api@v1.6.1":       "config/crd/standard",
	"github.com/envoyproxy/gateway@v1.9.1": "charts/gateway-helm/charts/crds/crds/generated",
}

const rendered = "../../../envoy"

// moduleDir fetches a module, checked against the checksum database, and returns
// its folder. It becomes no dependency.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Stderr = t.TempDir(), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", module, err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil || m.Dir == "" {
		t.Fatalf("%s: %v %s", module, err, out)
	}
	return m.Dir
}

var shared *validator.Validator

func newValidator(t *testing.T) *validator.Validator {
	t.Helper()
	if shared != nil {
		return shared
	}
	var folders []fs.FS
	for module, folder := range definitions {
		folders = append(folders, os.DirFS(only(t, filepath.Join(moduleDir(t, module), folder))))
	}
	v, err := validator.New(openapiclient.NewComposite(
		openapiclient.NewHardcodedBuiltins(kubernetes), openapiclient.NewLocalCRDFiles(folders...),
	))
	if err != nil {
		t.Fatal(err)
	}
	shared = v
	return v
}

// only copies the definitions of a folder, and what else is in its files not.
func only(t *testing.T, folder string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "definitions-")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in %s: %v", folder, err)
	}
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range split(t, file, text) {
			if d["kind"] != "CustomResourceDefinition" {
				continue
			}
			out, err := yaml.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			name := d["metadata"].(map[string]any)["name"].(string)
			if err := os.WriteFile(filepath.Join(dir, name+".yaml"), out, 0o600); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n == 0 {
		t.Fatalf("no definitions in %s", folder)
	}
	return dir
}

func split(t *testing.T, name string, text []byte) []map[string]any {
	t.Helper()
	var out []map[string]any
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var d map[string]any
		err := dec.Decode(&d)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d != nil {
			out = append(out, d)
		}
	}
}

func validate(v *validator.Validator, d map[string]any) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, object, err := v.Parse(text)
	if err != nil {
		return err
	}
	return v.Validate(object)
}

// manifests are the rendered objects, by file and place.
func manifests(t *testing.T) map[string][]map[string]any {
	t.Helper()
	out := make(map[string][]map[string]any)
	for _, folder := range []string{"istio", "istio/gateway", "envoy-gateway", "kubernetes"} {
		files, err := filepath.Glob(filepath.Join(rendered, folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("nothing is rendered in %s: %v", folder, err)
		}
		for _, file := range files {
			if filepath.Base(file) == "mesh-config.yaml" {
				continue // values of a chart; Istio itself reads them in e2e/mesh/istio
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out[file] = split(t, file, text)
		}
	}
	return out
}

func TestRenderedObjects(t *testing.T) {
	v := newValidator(t)
	kinds := make(map[string]bool)
	for file, list := range manifests(t) {
		for _, d := range list {
			kind, _ := d["kind"].(string)
			kinds[kind] = true
			if err := validate(v, d); err != nil {
				t.Errorf("%s, %s: %v", file, kind, err)
			}
		}
	}
	for _, kind := range []string{
		"AuthorizationPolicy", "WasmPlugin", "EnvoyFilter", "Telemetry", "DestinationRule", "ServiceEntry", "PeerAuthentication",
		"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy",
		"Gateway", "HTTPRoute", "SecurityPolicy", "EnvoyExtensionPolicy", "ClientTrafficPolicy", "BackendTrafficPolicy", "EnvoyProxy",
	} {
		if !kinds[kind] {
			t.Errorf("no %s is rendered", kind)
		}
	}
}

// What is wrong is refused: the proof above can fail. Each case changes one thing of
// an object that was rendered.
func TestBadObjectsAreRefused(t *testing.T) {
	v := newValidator(t)
	all := manifests(t)
	for name, c := range map[string]struct {
		kind string
		edit func(spec map[string]any)
	}{
		"a misspelt member":               {"WasmPlugin", func(s map[string]any) { s["failStrateg"] = "FAIL_RELOAD" }},
		"a digest that is none":           {"WasmPlugin", func(s map[string]any) { s["sha256"] = "latest" }},
		"a scheme that is none (CEL)":     {"WasmPlugin", func(s map[string]any) { s["url"] = "ftp://a.example/b" }},
		"an action that is none":          {"AuthorizationPolicy", func(s map[string]any) { s["action"] = "PASS" }},
		"a mode that is none":             {"PeerAuthentication", func(s map[string]any) { s["mtls"] = map[string]any{"mode": "LOOSE"} }},
		"a phase of filters that is none": {"EnvoyFilter", func(s map[string]any) { s["configPatches"] = []any{map[string]any{"applyTo": "NOTHING"}} }},
		"no backend at all (CEL)":         {"SecurityPolicy", func(s map[string]any) { s["extAuth"] = map[string]any{"failOpen": false} }},
		"two targets of an unknown kind (CEL)": {"SecurityPolicy", func(s map[string]any) {
			s["targetRefs"] = []any{map[string]any{"group": "gateway.networking.k8s.io", "kind": "Pod", "name": "a"}}
		}},
		"a filter without code": {"EnvoyExtensionPolicy", func(s map[string]any) {
			s["wasm"] = []any{map[string]any{"name": "a", "code": map[string]any{"type": "Image"}}}
		}},
		"a version that is none":        {"ClientTrafficPolicy", func(s map[string]any) { s["tls"] = map[string]any{"minVersion": "0.9"} }},
		"a path that is none":           {"ClientTrafficPolicy", func(s map[string]any) { s["path"] = map[string]any{"escapedSlashesAction": "Ignore"} }},
		"a listener without a protocol": {"Gateway", func(s map[string]any) { s["listeners"] = []any{map[string]any{"name": "a", "port": 80}} }},
		"replicas as text":              {"Deployment", func(s map[string]any) { s["replicas"] = "two" }},
		"a probe of the wrong kind":     {"Service", func(s map[string]any) { s["ports"] = []any{map[string]any{"port": "http"}} }},
		"scaling by words":              {"HorizontalPodAutoscaler", func(s map[string]any) { s["maxReplicas"] = "many" }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, list := range all {
				for _, d := range list {
					spec, ok := d["spec"].(map[string]any)
					if d["kind"] != c.kind || !ok {
						continue
					}
					text, err := yaml.Marshal(d)
					if err != nil {
						t.Fatal(err)
					}
					bad := split(t, name, text)[0]
					c.edit(bad["spec"].(map[string]any))
					_ = spec
					if err := validate(v, bad); err == nil {
						t.Errorf("%s is not refused", c.kind)
					} else if testing.Verbose() {
						t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
					}
					return
				}
			}
			t.Fatalf("no %s is rendered", c.kind)
		})
	}
}
