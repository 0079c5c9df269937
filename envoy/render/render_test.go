package render_test

import (
	"bytes"
	"crypto/rand"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"encoding/json"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/cmd/memgate/dev"
	"github.com/memgate/memgate/filter/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden are the policies that are rendered, and where the result is kept.
var golden = map[string]string{
	"../../memgate.yaml":     "../envoy.yaml",
	"testdata/minimal.yaml":  "testdata/minimal.envoy.yaml",
	"testdata/complete.yaml": "testdata/complete.envoy.yaml",
}

func TestGolden(t *testing.T) {
	for source, file := range golden {
		t.Run(source, func(t *testing.T) {
			got := renderFile(t, source)
			if again := renderFile(t, source); !bytes.Equal(got, again) {
				t.Fatal("rendered twice, it differs")
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what %s renders to; if it should be, run make render, and read the difference", file, source)
			}
		})
	}
}

// TestEnvoyAccepts has Envoy itself check each golden file, filter included.
func TestEnvoyAccepts(t *testing.T) {
	envoy, err := harness.EnvoyPath()
	if err != nil {
		t.Fatal(err)
	}
	wasm, certificates := harness.Wasm(t), t.TempDir()
	if err := dev.Certificates(dev.CertificateOptions{Dir: certificates, Hosts: []string{"localhost"}, For: time.Hour, Random: rand.Reader, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	for _, file := range golden {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// The filter and the certificates where this test has them.
			p := strings.NewReplacer("/etc/envoy/tls", certificates, "filename: build/memgate.wasm", "filename: "+wasm, "filename: /etc/envoy/memgate.wasm", "filename: "+wasm).Replace(string(text))
			config := filepath.Join(t.TempDir(), "envoy.yaml")
			if err := os.WriteFile(config, []byte(p), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(envoy, "--mode", "validate", "--config-path", config, "--log-level", "warning").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestYAMLMeansTheSame reads the YAML back, aliases and all.
func TestYAMLMeansTheSame(t *testing.T) {
	p, _, err := policy.Load("testdata/complete.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := render.Envoy(p)
	if err != nil {
		t.Fatal(err)
	}
	text, err := render.YAML(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(text, []byte("# ")) {
		t.Error("no header comment")
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	got := new(bootstrapv3.Bootstrap)
	if err := protojson.Unmarshal(asJSON, got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Error("the YAML means something else than the message")
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*policy.Policy)
		want string
	}{
		"admin beyond loopback":   {func(p *policy.Policy) { p.Envoy.Admin = "0.0.0.0:9901" }, "loopback"},
		"admin by name":           {func(p *policy.Policy) { p.Envoy.Admin = "localhost:9901" }, "loopback"},
		"no port":                 {func(p *policy.Policy) { p.Upstream.Address = "backend" }, "upstream.address"},
		"a port that is none":     {func(p *policy.Policy) { p.Server.GRPC = "127.0.0.1:99999" }, "server.grpc"},
		"an address for all":      {func(p *policy.Policy) { p.Server.HTTP = "0.0.0.0:9002" }, "server.host"},
		"an upstream for all":     {func(p *policy.Policy) { p.Upstream.Address = ":8081" }, "upstream.address"},
		"a header that is none":   {func(p *policy.Policy) { p.Headers.Override = map[string]string{"a b": "c"} }, "headers"},
		"a preset that is not it": {func(p *policy.Policy) { p.Headers.Preset = "other" }, "headers"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, err := policy.Load("testdata/minimal.yaml")
			if err != nil {
				t.Fatal(err)
			}
			c.edit(p)
			if _, err := render.Envoy(p); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
}

func renderFile(t *testing.T, source string) []byte {
	t.Helper()
	p, _, err := policy.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := render.Envoy(p)
	if err != nil {
		t.Fatal(err)
	}
	text, err := render.YAML(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
