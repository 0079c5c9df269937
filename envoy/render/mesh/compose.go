package mesh

import (
	"fmt"
	"net"
	"strings"

	"github.com/memgate/memgate/envoy/render"
	"github.com/memgate/memgate/filter/policy"
)

type composeFile struct {
	Services composeServices           `yaml:"services"`
	Networks map[string]composeNetwork `yaml:"networks"`
}

type composeServices struct {
	Envoy   composeService `yaml:"envoy"`
	Memgate composeService `yaml:"memgate"`
}

type composeService struct {
	Image       string                      `yaml:"image"`
	User        string                      `yaml:"user"`
	Restart     string                      `yaml:"restart"`
	ReadOnly    bool                        `yaml:"read_only"`
	CapDrop     []string                    `yaml:"cap_drop"`
	SecurityOpt []string                    `yaml:"security_opt"`
	Limit       string                      `yaml:"mem_limit"`
	PIDs        int                         `yaml:"pids_limit"`
	Ports       []string                    `yaml:"ports,omitempty"`
	Networks    []string                    `yaml:"networks"`
	Environment []string                    `yaml:"environment,omitempty"`
	Volumes     []string                    `yaml:"volumes"`
	Tmpfs       []string                    `yaml:"tmpfs,omitempty"`
	Command     []string                    `yaml:"command,omitempty"`
	DependsOn   map[string]composeCondition `yaml:"depends_on,omitempty"`
	Health      *composeHealth              `yaml:"healthcheck,omitempty"`
}

type composeCondition struct {
	Condition string `yaml:"condition"`
}

type composeHealth struct {
	Test     []string `yaml:"test,flow"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
	Retries  int      `yaml:"retries"`
}

type composeNetwork struct {
	Internal bool `yaml:"internal,omitempty"`
}

// Compose returns Envoy and memgate in containers, before a service that is in
// the same network under the name in upstream.address.
func Compose(p *policy.Policy, o Options) ([]File, error) {
	p = contained(p)
	bootstrap, err := render.Envoy(p)
	if err != nil {
		return nil, err
	}
	text, err := render.YAML(bootstrap)
	if err != nil {
		return nil, err
	}
	hardened := composeService{
		User: fmt.Sprintf("%d:%d", user, user), Restart: "unless-stopped", ReadOnly: true,
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"}, PIDs: 256,
	}
	envoy := hardened
	envoy.Image, envoy.Limit, envoy.Networks = "envoyproxy/envoy:distroless-v1.40.0", "1g", []string{"outside", "inside"}
	envoy.Ports = published(p)
	envoy.Volumes = []string{"./envoy.yaml:/etc/envoy/envoy.yaml:ro", "./memgate.wasm:" + p.Envoy.Wasm + ":ro"}
	for _, folder := range tlsFolders(p) {
		envoy.Volumes = append(envoy.Volumes, "./tls:"+folder+":ro")
	}
	envoy.Command = []string{"--config-path", "/etc/envoy/envoy.yaml", "--log-level", "warning", "--disable-hot-restart"}
	envoy.DependsOn = map[string]composeCondition{"memgate": {"service_healthy"}}
	memgate := hardened
	memgate.Image, memgate.Limit, memgate.Networks = o.Image, "512m", []string{"inside"}
	if len(p.Identity.Issuers) > 0 {
		memgate.Networks = append(memgate.Networks, "outside") // the keys of issuers are there
	}
	memgate.Volumes = []string{"./memgate.yaml:/etc/memgate/memgate.yaml:ro", "./secrets:/etc/memgate/secrets:ro"}
	memgate.Tmpfs = []string{fmt.Sprintf("/run/memgate:size=16m,mode=0700,uid=%d,gid=%d", user, user)}
	memgate.Environment = environment(p)
	memgate.Health = &composeHealth{[]string{"CMD", "/memgate", "healthcheck", "--config", "/etc/memgate/memgate.yaml"}, "3s", "3s", 10}
	file, err := newFile("docker-compose.yml", `Envoy and memgate before your own service: put it in the network inside, under the name that
upstream.address has. Beside this file: memgate.yaml (the policy), memgate.wasm (the filter),
secrets/ with what the policy names there, and tls/ with the certificates where it names some.
What you would change: the images, best with their digests (--image).`, document{"", composeFile{
		composeServices{envoy, memgate}, map[string]composeNetwork{"outside": {}, "inside": {Internal: true}},
	}})
	return []File{file, {"envoy.yaml", text}, {"memgate.yaml", o.Policy}}, err
}

// contained is a policy as Envoy's container sees it: all of its addresses are its
// own, memgate has a name, and the filter stands where this file puts it.
func contained(p *policy.Policy) *policy.Policy {
	out := *p
	if out.Server.Host == "" {
		out.Server.Host = "memgate"
	}
	if host, port, err := net.SplitHostPort(out.Envoy.Listen); err == nil && (host == "127.0.0.1" || host == "localhost" || host == "::1") {
		out.Envoy.Listen = net.JoinHostPort("0.0.0.0", port)
	}
	if !strings.HasPrefix(out.Envoy.Wasm, "/") {
		out.Envoy.Wasm = "/etc/envoy/memgate.wasm"
	}
	return &out
}

// published are the ports of the edge, on loopback: who opens them to others
// says so.
func published(p *policy.Policy) []string {
	var out []string
	add := func(address, protocol string) {
		if _, port, ok := strings.Cut(address, ":"); ok && port != "" {
			port = address[strings.LastIndex(address, ":")+1:]
			out = append(out, "127.0.0.1:"+port+":"+port+protocol)
		}
	}
	add(p.Envoy.Listen, "")
	if t := p.Envoy.TLS; t != nil {
		if t.HTTP3 {
			add(p.Envoy.Listen, "/udp")
		}
		add(t.Redirect, "")
	}
	return out
}

// tlsFolders are where Envoy reads certificates.
func tlsFolders(p *policy.Policy) []string {
	folders := make(map[string]bool)
	add := func(path string) {
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			folders[path[:i]] = true
		}
	}
	if t := p.Envoy.TLS; t != nil {
		for _, path := range []string{t.SDS, t.Certificate} {
			add(path)
		}
	}
	if i := p.Envoy.Identity; i != nil {
		for _, path := range []string{i.SDS, i.Certificate} {
			add(path)
		}
	}
	return sortedKeys(folders)
}
