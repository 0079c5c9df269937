package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// command runs memgate with arguments and returns its exit code and output.
func command(stdin string, args ...string) (code int, out string) {
	var buf bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&buf)
	root.SetErr(&buf)
	err := root.ExecuteContext(context.Background())
	switch {
	case err == nil:
		return 0, buf.String()
	case errors.As(err, new(usageError)):
		return exitUsage, buf.String() + err.Error()
	}
	return exitFailure, buf.String() + err.Error()
}

func TestTokenVerify(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Set(jwk.KeyIDKey, "k1"); err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys, config, bare := filepath.Join(dir, "jwks.json"), filepath.Join(dir, "memgate.yaml"), filepath.Join(dir, "bare.yaml")
	const rest = "version: 1\nupstream: { address: \"127.0.0.1:8081\" }\nroutes: [{ match: { path: /a }, require: { scopes: [s] } }]\n"
	for path, text := range map[string]string{
		keys:   string(set),
		bare:   rest + "identity: { api_keys: { file: file:keys.yaml } }\n",
		config: rest + "identity:\n  issuers:\n    - { issuer: \"https://idp.example.com\", jwks_file: jwks.json, audiences: [memory], algorithms: [ES256], tenant: { claim: org_id } }\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issued := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	token, err := jwt.NewBuilder().Issuer("https://idp.example.com").Subject("svc").Audience([]string{"memory"}).
		IssuedAt(issued).Expiration(issued.Add(time.Hour)).Claim("org_id", "acme").Claim("scope", "s").Build()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), key))
	if err != nil {
		t.Fatal(err)
	}
	good := string(raw)
	plain, err := jws.Sign([]byte("not claims"), jws.WithKey(jwa.ES256(), key))
	if err != nil {
		t.Fatal(err)
	}
	forged := good[:len(good)-4] + "AAAA"
	const during = "2026-05-01T12:30:00Z"
	for name, c := range map[string]struct {
		args  []string
		stdin string
		code  int
		out   string
	}{
		"accepted":                  {[]string{"--config", config, "--at", during, good}, "", 0, "valid"},
		"accepted, by its offset":   {[]string{"--config", config, "--at", "2026-05-01T14:30:00+02:00", good}, "", 0, "valid"},
		"from standard input":       {[]string{"--config", config, "--at", during}, good + "\n", 0, "valid"},
		"from standard input, -":    {[]string{"--config", config, "--at", during, "-"}, " " + good + "\r\n", 0, "valid"},
		"expired by now":            {[]string{"--config", config, good}, "", 1, "times      refuse  token_expired"},
		"expired at a time":         {[]string{"--config", config, "--at", "2026-05-01T13:00:31Z", good}, "", 1, "exp 2026-05-01T13:00:00Z"},
		"forged":                    {[]string{"--config", config, "--at", during, forged}, "", 1, "signature  refuse  signature_invalid"},
		"nothing":                   {[]string{"--config", config}, "", 1, "form       refuse  token_not_compact"},
		"no issuers":                {[]string{"--config", bare, good}, "", 1, "names no issuers"},
		"no policy":                 {[]string{"--config", config + ".none", good}, "", 1, "no such file"},
		"bad time":                  {[]string{"--at", "noon", good}, "", 2, "--at"},
		"two tokens":                {[]string{good, good}, "", 2, "arg"},
		"signature":                 {[]string{"--jwks", keys, "--signature-only", good}, "", 0, "valid"},
		"signature of no claims":    {[]string{"--jwks", keys, "--signature-only", "-"}, string(plain), 0, "valid"},
		"forged signature":          {[]string{"--jwks", keys, "--signature-only", forged}, "", 1, "invalid: signature_invalid"},
		"no JWS":                    {[]string{"--jwks", keys, "--signature-only"}, "hello", 1, "invalid: token_not_compact"},
		"too long for anything":     {[]string{"--jwks", keys, "--signature-only"}, strings.Repeat("a", 2<<20), 1, "longer"},
		"no keys":                   {[]string{"--jwks", config, "--signature-only", good}, "", 1, "JWK Set"},
		"no key file":               {[]string{"--jwks", keys + ".none", "--signature-only", good}, "", 1, "no such file"},
		"keys, but for the claims?": {[]string{"--jwks", keys, good}, "", 2, "belong together"},
		"signature, but by what?":   {[]string{"--signature-only", good}, "", 2, "belong together"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := command(c.stdin, append([]string{"token", "verify"}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.out) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.out, out)
			}
			if parts := strings.Split(good, "."); strings.Contains(out, parts[1]) || strings.Contains(out, parts[2]) {
				t.Errorf("the token is shown:\n%s", out)
			}
		})
	}
}
