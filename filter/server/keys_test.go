package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/policy"
)

func parse(t *testing.T, dir, yaml string) *policy.Policy {
	t.Helper()
	p, _, err := policy.Parse([]byte("version: 1\nupstream: { address: \"127.0.0.1:1\" }\nroutes: [{ match: { path: /a }, require: { scopes: [s] } }]\n"+yaml), "memgate.yaml", dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The first key makes its file and the pepper, which others cannot read.
func TestFirstKeyMakesItsPepper(t *testing.T) {
	dir := t.TempDir()
	p := parse(t, dir, "identity: { api_keys: { file: file:sub/keys.yaml } }")
	keys, err := KeysOf(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open(time.Now); err == nil || !strings.Contains(err.Error(), "memgate key create") {
		t.Fatalf("without keys: %v", err)
	}
	_, key, err := keys.Create(context.Background(), apikey.Record{Tenant: "acme", Scopes: []string{"s"}}, rand.Reader, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"keys.yaml", "keys.yaml.pepper"} {
		info, err := os.Stat(filepath.Join(dir, "sub", name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	store, err := keys.Open(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.Verify(context.Background(), key); err != nil || got.Tenant != "acme" {
		t.Fatalf("%+v %v", got, err)
	}
	// A second key goes with the same pepper.
	_, second, err := keys.Create(context.Background(), apikey.Record{Tenant: "acme"}, rand.Reader, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{key, second} {
		if _, err := store.Verify(context.Background(), k); err != nil {
			t.Error(err)
		}
	}
	// A pepper that is lost is not made anew: no key would ever fit again.
	if err := os.Remove(filepath.Join(dir, "sub", "keys.yaml.pepper")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Create(context.Background(), apikey.Record{Tenant: "acme"}, rand.Reader, time.Now); err == nil {
		t.Fatal("a new pepper was made beside old keys")
	}
}

func TestKeysOfAnotherEnvironment(t *testing.T) {
	dir := t.TempDir()
	const section = "identity: { api_keys: { file: file:keys.yaml } }\n"
	test, err := KeysOf(parse(t, dir, section))
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := test.Create(context.Background(), apikey.Record{Tenant: "acme"}, rand.Reader, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	production, err := KeysOf(parse(t, dir, section+"environment: production\n"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := production.Open(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Verify(context.Background(), key); identity.ReasonOf(err) != identity.ReasonAPIKeyEnvironment {
		t.Fatalf("a development key in production: %v", err)
	}
}

func TestPolicyWithoutKeys(t *testing.T) {
	p := parse(t, t.TempDir(), "identity: { issuers: [{ issuer: \"https://a.example\", tenant: t, audiences: [a] }] }")
	if _, err := KeysOf(p); !errors.Is(err, ErrNoKeys) {
		t.Fatal(err)
	}
}

func TestStampSeesEachChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	absent := stampOf(path)
	write("one")
	first := stampOf(path)
	if absent.same(first) || !first.same(stampOf(path)) {
		t.Fatal("a file that came was not seen, or one that stayed was")
	}
	// The same length within the same tick of the clock, but another file.
	write("two")
	if err := os.Chtimes(path, first.modified, first.modified); err != nil {
		t.Fatal(err)
	}
	if first.same(stampOf(path)) {
		t.Fatal("a file that was replaced was not seen")
	}
}

// An issuer that is only told of must not be asked before a token is there.
func TestChainNeedsNoRunningParts(t *testing.T) {
	p := parse(t, t.TempDir(), "identity: { issuers: [{ issuer: \"https://unreachable.example\", tenant: t, audiences: [a] }] }")
	chain, done, err := Chain(t.Context(), p, time.Now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if chain == nil {
		t.Fatal("no chain")
	}
	done()
	if _, _, err := Chain(t.Context(), p, time.Now, bytes.NewReader(nil)); err == nil {
		t.Fatal("a signing key without randomness")
	}
}
