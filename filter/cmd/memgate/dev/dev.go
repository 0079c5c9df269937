// Package dev runs the whole system on one machine for development: Envoy, the
// authz service, the memory backend and an issuer of tokens, all on loopback,
// started in order and ended together.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/policy"
)

// Options say where the parts are.
type Options struct {
	Config  string // memgate.yaml
	Dir     string // state of the run, mode 0700
	Port    string // of the edge; the policy's when empty
	Self    string // this binary
	Backend string // the memory-backend binary
	Envoy   string // the Envoy binary; $ENVOY or the PATH when empty

	// Render returns Envoy's bootstrap for a policy.
	Render func(*policy.Policy) ([]byte, error)
	// Key returns an API key of the development tenant.
	Key func(*policy.Policy) (string, error)
	Out io.Writer
}

// Development principal.
const (
	Tenant  = "demo"
	Subject = "developer"
	Scope   = "memory:read memory:write"

	tokenTTL    = 24 * time.Hour
	readyWithin = 60 * time.Second
)

// Run starts everything, prints how to use it, and returns when ctx ends or a
// part dies, after it has ended all that it started.
func Run(ctx context.Context, o Options) error {
	p, _, err := policy.Load(o.Config)
	if err != nil {
		return err
	}
	if o.Port != "" {
		host, _, err := net.SplitHostPort(p.Envoy.Listen)
		if err != nil {
			return err
		}
		p.Envoy.Listen = net.JoinHostPort(host, o.Port)
	}
	section, issuerAddress := developmentIssuer(p)
	if section == nil {
		return fmt.Errorf("%s: %w", o.Config, errNoIssuer)
	}
	envoy, err := findEnvoy(o.Envoy)
	if err != nil {
		return err
	}
	for _, port := range []struct{ what, address, hint string }{
		{"the edge", p.Envoy.Listen, "set MEMGATE_PORT to another"},
		{"Envoy's admin interface", p.Envoy.Admin, "change envoy.admin in " + o.Config},
		{"the authz service", p.Server.GRPC, "change server.grpc in " + o.Config},
		{"memgate's HTTP endpoints", p.Server.HTTP, "change server.http in " + o.Config},
		{"the memory backend", p.Upstream.Address, "change upstream.address in " + o.Config},
		{"the development issuer", issuerAddress, "change identity.issuers in " + o.Config},
	} {
		if err := free(port.address); err != nil {
			return fmt.Errorf("%s, wanted for %s, is in use: end what holds it, or %s", port.address, port.what, port.hint)
		}
	}

	logs := filepath.Join(o.Dir, "logs")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return err
	}
	issuer, err := LoadIssuer(o.Dir, section.Issuer)
	if err != nil {
		return err
	}
	stopIssuer, err := serveIssuer(issuer, issuerAddress)
	if err != nil {
		return err
	}
	defer stopIssuer()
	apiKey, err := o.Key(p)
	if err != nil {
		return err
	}
	token, err := issuer.mint(section, Claims{Tenant: Tenant, Subject: Subject, Scope: Scope, TTL: tokenTTL}, time.Now())
	if err != nil {
		return err
	}
	bootstrap, err := o.Render(p)
	if err != nil {
		return err
	}
	envoyConfig := filepath.Join(o.Dir, "envoy.yaml")
	if err := os.WriteFile(envoyConfig, bootstrap, 0o600); err != nil {
		return err
	}

	var running []*process
	defer func() {
		for i := len(running) - 1; i >= 0; i-- {
			running[i].stop()
		}
	}()
	launch := func(name, path string, args ...string) error {
		child, err := start(name, logs, nil, path, args...)
		if err == nil {
			running = append(running, child)
		}
		return err
	}
	if err := launch("memgate", o.Self, "serve", "--config", o.Config); err != nil {
		return err
	}
	if err := await(ctx, "http://"+p.Server.HTTP+"/readyz", running); err != nil {
		return err
	}
	if err := launch("memory-backend", o.Backend, "serve", "--listen", p.Upstream.Address,
		"--data", filepath.Join(o.Dir, "data"), "--master-key", "file:"+filepath.Join(o.Dir, "master-key.json"), "--txn-issuer", p.Transaction.Issuer,
		"--txn-audience", p.Upstream.Audience, "--txn-jwks", "http://"+p.Server.HTTP+"/.well-known/jwks.json"); err != nil {
		return err
	}
	if err := await(ctx, "http://"+p.Upstream.Address+"/healthz", running); err != nil {
		return err
	}
	if err := launch("envoy", envoy, "--config-path", envoyConfig, "--log-level", "warning",
		"--disable-hot-restart", "--concurrency", "2"); err != nil {
		return err
	}
	edge := "http://" + p.Envoy.Listen
	if err := await(ctx, edge+"/healthz", running); err != nil {
		return err
	}
	if err := writeEnv(filepath.Join(o.Dir, "dev.env"), edge, token, apiKey); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, welcome, edge, token, apiKey, filepath.Join(o.Dir, "dev.env"), logs)

	return watch(ctx, running)
}

var errNoIssuer = errors.New("no issuer of the policy is on loopback, such as http://127.0.0.1:9010, so none can be run here")

// watch waits for the end of ctx, or of a part that should not end.
func watch(ctx context.Context, running []*process) error {
	dead := make(chan *process, len(running))
	for _, p := range running {
		go func() {
			<-p.done
			dead <- p
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case p := <-dead:
		if ctx.Err() != nil {
			return nil
		}
		return p.died()
	}
}

// developmentIssuer picks the first issuer that may be run here.
func developmentIssuer(p *policy.Policy) (*policy.Issuer, string) {
	for i := range p.Identity.Issuers {
		if address, ok := loopback(p.Identity.Issuers[i].Issuer); ok {
			return &p.Identity.Issuers[i], address
		}
	}
	return nil, ""
}

func findEnvoy(named string) (string, error) {
	if named == "" {
		named = os.Getenv("ENVOY")
	}
	if named == "" {
		named = "envoy"
	}
	path, err := exec.LookPath(named)
	if err != nil {
		return "", errors.New("no Envoy was found: start it by make run, which installs one, or set ENVOY to its path")
	}
	return path, nil
}

func free(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

func serveIssuer(i *Issuer, address string) (stop func(), err error) {
	handler, err := i.Handler()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	return func() { _ = server.Close() }, nil
}

// await polls url until it answers 200, a part dies, or time is up.
func await(ctx context.Context, url string, running []*process) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		for _, p := range running {
			select {
			case <-p.done:
				return p.died()
			default:
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s did not answer within %s", url, readyWithin)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func writeEnv(path, url, token, key string) error {
	var b strings.Builder
	for _, v := range [...][2]string{{"MEMGATE_URL", url}, {"MEMGATE_TOKEN", token}, {"MEMGATE_API_KEY", key}} {
		fmt.Fprintf(&b, "%s=%s\n", v[0], v[1])
	}
	// Written beside and moved, so that a reader sees the old file or the new.
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadEnv returns one value of the file that [Run] writes, or "".
func ReadEnv(dir, name string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "dev.env"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	return ""
}

const welcome = `
memgate is ready.

  address  %[1]s
  token    %[2]s
  API key  %[3]s

The same values are in %[4]s; logs are in %[5]s. Paste these:

  . %[4]s

  # make an agent, then remember and recall
  curl -sS $MEMGATE_URL/api/v2/agents -H "Authorization: Bearer $MEMGATE_TOKEN" \
    -H 'Content-Type: application/json' -d '{"agent_id":"helper","pattern":"tool"}'
  curl -sS $MEMGATE_URL/api/v2/agents/helper/remember -H "Authorization: Bearer $MEMGATE_TOKEN" \
    -H 'Content-Type: application/json' -d '{"content":"The release train leaves on Thursdays","type":"fact"}'
  curl -sS $MEMGATE_URL/api/v2/agents/helper/recall -H "X-API-Key: $MEMGATE_API_KEY" \
    -H 'Content-Type: application/json' -d '{"query":"when do releases leave?"}'

  # a refusal: no credential
  curl -sS -i $MEMGATE_URL/api/v2/agents

  # a redaction: the address never reaches the service
  curl -sS $MEMGATE_URL/api/v2/agents/helper/remember -H "Authorization: Bearer $MEMGATE_TOKEN" \
    -H 'Content-Type: application/json' -d '{"content":"Write to jane.doe@example.com about it","type":"fact"}'
  curl -sS $MEMGATE_URL/api/v2/agents/helper/recall -H "Authorization: Bearer $MEMGATE_TOKEN" \
    -H 'Content-Type: application/json' -d '{"query":"write about it"}'

Ctrl-C ends everything.
`
