package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

const successful = "memgate_policy_last_reload_successful"

// has returns an error unless text holds part.
func has(text, part string) error {
	if strings.Contains(text, part) {
		return nil
	}
	return fmt.Errorf("%q is missing in:\n%s", part, text)
}

// A policy that is broken changes nothing but a metric and the log.
func TestBrokenPolicyIsNotPutInForce(t *testing.T) {
	good := shared.Policy()
	t.Cleanup(func() {
		shared.WritePolicy(good)
		wantMetric(t, shared, 1, successful)
	})
	token := shared.Token("broken", scopes)
	works(t, shared, token)
	wantMetric(t, shared, 1, successful)
	for name, broken := range map[string]struct{ yaml, log string }{
		"no YAML":            {"version: 1\n\t:", ":2:"},
		"empty":              {"", "memgate.yaml"},
		"misspelt key":       {strings.Replace(good, "limits:", "limit:", 1), `did you mean \"limits\"?`},
		"a limit of zero":    {replace(t, good, "write: 6000/m", "write: 0/m"), "limits.classes"},
		"a secret not there": {replace(t, good, keyFile, keyFile+".none"), "upstream.credential"},
	} {
		before := metric(t, shared, "memgate_policy_reloads_total", `result="failure"`)
		log := len(shared.Memgate.Log(0))
		shared.WritePolicy(broken.yaml)
		harness.Eventually(t, func() error {
			text := shared.Memgate.Log(0)[log:]
			if err := errors.Join(has(text, "the policy was refused, the old one stays in force"), has(text, broken.log)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
		if got := metric(t, shared, successful); got != 0 {
			t.Errorf("%s: %s is %v", name, successful, got)
		}
		if got := metric(t, shared, "memgate_policy_reloads_total", `result="failure"`); got <= before {
			t.Errorf("%s: the failure is not counted", name)
		}
		r := remember(t, shared, token, "Write to jane.doe@example.com")
		if up, _ := svc.got(r.ID); r.Status != 200 || !strings.Contains(up.Body, "[EMAIL_ADDRESS]") {
			t.Errorf("%s: the old policy is not in force: %d %s, the service got %q", name, r.Status, r.Body, up.Body)
		}
		if r := shared.Do(t, harness.Request{Path: "/api/v2/agents"}); r.Status != 401 {
			t.Errorf("%s: without a credential: %d", name, r.Status)
		}
		shared.WritePolicy(good)
		wantMetric(t, shared, 1, successful)
	}
}

// A good policy takes effect in the authz service and in the Wasm filter with
// the same request, while Envoy runs on.
func TestReloadTakesEffectInBothPlacesAtOnce(t *testing.T) {
	first := shared.Policy()
	t.Cleanup(func() {
		shared.WritePolicy(first)
		wantMetric(t, shared, 1, successful)
	})
	second := replace(t, first, "request: { default: redact }", "request: { default: redact, EMAIL_ADDRESS: mask }")
	second = replace(t, second, "write: 6000/m", "write: 5000/m")
	token := shared.Token("both", scopes)
	works(t, shared, token)
	envoy := shared.Envoy.PID()

	// What each place does by a policy: the limit that the authz service
	// announces, and what the filter makes of an address.
	look := func() string {
		r := remember(t, shared, token, "Write to jane.doe@example.com")
		up, ok := svc.got(r.ID)
		if r.Status != 200 || !ok {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		limit := r.Header.Get("RateLimit-Policy")
		redacted := strings.Contains(up.Body, "[EMAIL_ADDRESS]")
		switch {
		case strings.Contains(up.Body, "jane.doe@example.com"):
			t.Fatalf("the address reached the service: %s", up.Body)
		case strings.Contains(limit, "q=6000;") && redacted:
			return "first"
		case strings.Contains(limit, "q=5000;") && !redacted:
			return "second"
		}
		t.Fatalf("half of each policy: %s with %s", limit, up.Body)
		return ""
	}
	for range 3 {
		for name, yaml := range map[string]string{"second": second, "first": first} {
			shared.WritePolicy(yaml)
			harness.Eventually(t, func() error {
				if got := look(); got != name {
					return fmt.Errorf("the %s policy is in force", got)
				}
				return nil
			})
		}
	}
	if !shared.Envoy.Running() || shared.Envoy.PID() != envoy || shared.Envoy.Stat("listener_manager.listener_modified") != 0 {
		t.Error("Envoy was changed")
	}
}

// A new route is denied before the reload and let through after it, and its
// limit on the body holds.
func TestReloadAddsARoute(t *testing.T) {
	good := shared.Policy()
	t.Cleanup(func() {
		shared.WritePolicy(good)
		wantMetric(t, shared, 1, successful)
	})
	token := shared.Token("route", scopes)
	send := func(body string) *harness.Response { return shared.JSON(t, "POST", "/api/v2/new", token, body) }
	if slug := problem(t, send(`{}`), 403); slug != "no-route" {
		t.Fatalf("before: %s", slug)
	}
	shared.WritePolicy(replace(t, good, "\nroutes:\n", "\nroutes:\n  - name: new\n    match: { methods: [POST], path: /api/v2/new }\n    content: { max_body: 1KiB }\n"))
	harness.Eventually(t, func() error { return harness.Want(send(`{"a":1}`), 200) })
	if slug := problem(t, send(`{"a":"`+strings.Repeat("long ", 300)+`"}`), 413); slug != "body-too-large" {
		t.Errorf("a large body: %s", slug)
	}
}

// SIGHUP reads again what the policy refers to, though the file is the same.
func TestSIGHUPReadsSecretsAgain(t *testing.T) {
	token := shared.Token("hup", scopes)
	key := func() string {
		r := remember(t, shared, token, "x is y")
		up, _ := svc.got(r.ID)
		return up.Header.Get("X-Service-Key")
	}
	if got := key(); got != "first-key" {
		t.Fatalf("the service's key is %q", got)
	}
	put := func(text string) {
		if err := os.WriteFile(keyFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		shared.Memgate.Signal(syscall.SIGHUP)
	}
	defer func() {
		put("first-key\n")
		wantMetric(t, shared, 1, successful)
	}()
	put("second-key\n")
	harness.Eventually(t, func() error { return has(key(), "second-key") })

	// A secret that is gone is a failure, and the one that was read stays.
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	shared.Memgate.Signal(syscall.SIGHUP)
	wantMetric(t, shared, 0, successful)
	if got := key(); got != "second-key" {
		t.Errorf("the service's key is %q", got)
	}
}

// A file of API keys that cannot be read leaves the keys as they were.
func TestBrokenKeyFileLeavesTheKeys(t *testing.T) {
	key := shared.APIKey("keyfile", scopes)
	works := func(key string) func() error {
		return func() error {
			return harness.Want(shared.Do(t, harness.Request{Path: "/api/v2/agents", Header: map[string]string{"X-API-Key": key}}), 200)
		}
	}
	harness.Eventually(t, works(key))
	path := filepath.Join(shared.Dir, "keys.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile := func(text []byte, mode os.FileMode) {
		if err := errors.Join(os.WriteFile(path+".new", text, mode), os.Chmod(path+".new", mode), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { replaceFile(good, 0o600) })
	for name, broken := range map[string]func(){
		"no YAML":        func() { replaceFile([]byte("\tkeys: ["), 0o600) },
		"empty":          func() { replaceFile(nil, 0o600) },
		"cut off":        func() { replaceFile(good[:len(good)-20], 0o600) },
		"read by others": func() { replaceFile(good, 0o644) },
		"gone": func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		log := len(shared.Memgate.Log(0))
		broken()
		harness.Eventually(t, func() error {
			return has(shared.Memgate.Log(0)[log:], "the API keys cannot be read, the old ones stay in force")
		})
		if err := works(key)(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(shared.Memgate.Log(0), key) {
			t.Errorf("%s: the key is in the log", name)
		}
	}
	replaceFile(good, 0o600)
	harness.Eventually(t, works(shared.APIKey("keyfile", scopes)))
}
