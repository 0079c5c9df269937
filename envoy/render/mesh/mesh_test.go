package mesh_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/memgate/memgate/envoy/render/mesh"
	"github.com/memgate/memgate/filter/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const source = "../../mesh.yaml"

// examples are what is committed beside the policy that it is rendered from.
var examples = map[string]struct {
	write func(*policy.Policy, mesh.Options) ([]mesh.File, error)
	edit  func(*mesh.Options)
}{
	"../../istio":               {mesh.Istio, func(*mesh.Options) {}},
	"../../istio/gateway":       {mesh.Istio, func(o *mesh.Options) { o.At, o.HoldHeaders = mesh.Gateway, true }},
	"../../envoy-gateway":       {mesh.EnvoyGateway, func(*mesh.Options) {}},
	"../../envoy-gateway/holds": {mesh.EnvoyGateway, func(o *mesh.Options) { o.HoldHeaders = true }},
	"../../kubernetes":          {mesh.Kubernetes, func(*mesh.Options) {}},
	"../../chart":               {mesh.Chart, func(*mesh.Options) {}},
	"testdata/compose":          {mesh.Compose, func(*mesh.Options) {}},
}

func options(t *testing.T) mesh.Options {
	t.Helper()
	o := mesh.Defaults()
	o.WasmSHA256 = strings.Repeat("0123456789abcdef", 4)
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	o.Policy = text
	return o
}

func load(t *testing.T) *policy.Policy {
	t.Helper()
	p, findings, err := policy.Load(source)
	if err != nil || len(findings) > 0 {
		t.Fatal(err, findings)
	}
	return p
}

func TestGolden(t *testing.T) {
	for dir, e := range examples {
		t.Run(dir, func(t *testing.T) {
			o := options(t)
			e.edit(&o)
			files, err := e.write(load(t), o)
			if err != nil {
				t.Fatal(err)
			}
			again, err := e.write(load(t), o)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range files {
				if !bytes.Equal(f.Text, again[i].Text) {
					t.Errorf("%s: rendered twice, it differs", f.Name)
				}
				path := filepath.Join(dir, f.Name)
				if *update {
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, f.Text, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(f.Text, want) {
					t.Errorf("%s is not what is rendered; if it should be, run make render, and read the difference", path)
				}
				if !strings.HasPrefix(f.Name, "templates/") {
					documents(t, f)
				}
			}
		})
	}
}

// documents reads a file back: each document is an object with a name, and no
// two are the same object.
func documents(t *testing.T, f mesh.File) []map[string]any {
	t.Helper()
	var out []map[string]any
	dec := yaml.NewDecoder(bytes.NewReader(f.Text))
	for {
		var d map[string]any
		err := dec.Decode(&d)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if d == nil {
			t.Errorf("%s: an empty document", f.Name)
		}
		out = append(out, d)
	}
}

// Nothing that is written lets a request pass when a part fails.
func TestNothingFailsOpen(t *testing.T) {
	for dir, e := range examples {
		o := options(t)
		e.edit(&o)
		files, err := e.write(load(t), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, open := range []string{"failOpen: true", "FAIL_OPEN", "failure_mode_allow: true", "PERMISSIVE", "mode: DISABLE"} {
				if bytes.Contains(f.Text, []byte(open)) {
					t.Errorf("%s/%s holds %s", dir, f.Name, open)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		policy  func(*policy.Policy)
		options func(*mesh.Options)
		want    string
	}{
		"a filter that is not pinned": {options: func(o *mesh.Options) { o.WasmSHA256 = "" }, want: "--wasm-sha256"},
		"a digest that is none":       {options: func(o *mesh.Options) { o.WasmSHA256 = "latest" }, want: "--wasm-sha256"},
		"two digests": {options: func(o *mesh.Options) {
			o.Wasm = "oci://r/w@sha256:" + strings.Repeat("a", 64)
		}, want: "another digest"},
		"no instance":                 {options: func(o *mesh.Options) { o.Replicas = 0 }, want: "--replicas"},
		"elsewhere":                   {options: func(o *mesh.Options) { o.At = "ambient" }, want: "--at"},
		"a name that is none":         {options: func(o *mesh.Options) { o.Namespace = "Mem gate" }, want: "--namespace"},
		"a name that ends a line":     {options: func(o *mesh.Options) { o.Workload = "a\nb" }, want: "--workload"},
		"memgate on loopback":         {policy: func(p *policy.Policy) { p.Server.GRPC = "127.0.0.1:9001" }, want: "server.grpc"},
		"memgate on localhost":        {policy: func(p *policy.Policy) { p.Server.HTTP = "localhost:9002" }, want: "server.http"},
		"plain HTTP":                  {policy: func(p *policy.Policy) { p.Envoy.TLSInFront = false }, want: "tls_in_front"},
		"TLS of memgate's own":        {policy: func(p *policy.Policy) { p.Server.TLS = new(policy.ServerTLS) }, want: "server.tls"},
		"a service without a port":    {policy: func(p *policy.Policy) { p.Upstream.Address = "orders" }, want: "upstream.address"},
		"a service with no such port": {policy: func(p *policy.Policy) { p.Upstream.Address = "orders:99999" }, want: "upstream.address"},
	} {
		t.Run(name, func(t *testing.T) {
			p, o := load(t), options(t)
			if c.policy != nil {
				c.policy(p)
			}
			if c.options != nil {
				c.options(&o)
			}
			for kind, write := range map[string]func(*policy.Policy, mesh.Options) ([]mesh.File, error){"istio": mesh.Istio, "envoy-gateway": mesh.EnvoyGateway, "kubernetes": mesh.Kubernetes} {
				if _, err := write(p, o); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: error %v, want one about %s", kind, err, c.want)
				}
			}
		})
	}
}

// A digest in the filter's URL is enough.
func TestDigestInURL(t *testing.T) {
	o := options(t)
	o.WasmSHA256, o.Wasm = "", "oci://registry.example/w@sha256:"+strings.Repeat("b", 64)
	files, err := mesh.Istio(load(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(files[len(files)-1].Text, []byte("sha256: "+strings.Repeat("b", 64))) {
		t.Error("the digest is not in the WasmPlugin")
	}
}
