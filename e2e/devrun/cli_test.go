package devrun

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// memgate runs the command in the repository's root.
func memgate(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return execute(t, nil, harness.Root(), stdin, harness.Memgate(t), args...)
}

func TestCheck(t *testing.T) {
	good := read(t, filepath.Join(harness.Root(), "memgate.yaml"))
	replace := func(old, changed string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("memgate.yaml does not hold %s any more", old)
		}
		return strings.Replace(good, old, changed, 1)
	}
	for name, c := range map[string]struct {
		yaml   string
		strict bool
		code   int
		line   string // of the output, without the path
	}{
		"good":                  {yaml: good, code: 0, line: ": no findings"},
		"good, strict":          {yaml: good, strict: true, code: 0, line: ": no findings"},
		"misspelt key":          {yaml: replace("headers: { preset", "header: { preset"), code: 1, line: `:12:1: unknown key "header"; did you mean "headers"?`},
		"misspelt key, inside":  {yaml: replace("allow_credentials", "allow_credential"), code: 1, line: `:11:3: unknown key "allow_credential" in cors; did you mean "allow_credentials"?`},
		"wrong type":            {yaml: replace("ttl: 6h", "ttl: soon"), code: 1, line: `:21:20: `},
		"wildcard, credentials": {yaml: replace(`["http://localhost:3000", "http://127.0.0.1:3000"]`, `["*"]`), code: 1, line: `:10:19: `},
		"a secret in the file":  {yaml: replace("file: file:.run/keys.yaml", "file: sk_live_"+strings.Repeat("4eC39HqL", 3)), code: 1, line: `:20:21: `},
		"warning":               {yaml: replace("ttl: 6h", "ttl: 168h"), code: 0, line: `:21:20: warning: identity.sessions.ttl: `},
		"warning, strict":       {yaml: replace("ttl: 6h", "ttl: 168h"), strict: true, code: 1, line: `:21:20: warning: identity.sessions.ttl: `},
		"no YAML":               {yaml: "version: 1\n\tx", code: 1, line: `:2:`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memgate.yaml")
			write(t, path, c.yaml)
			args := []string{"check", path}
			if c.strict {
				args = append(args, "--strict")
			}
			code, out, failure := memgate(t, "", args...)
			if code != c.code || failure != "" || !strings.Contains(out, path+c.line) {
				t.Errorf("exit code %d, want %d; %q is missing in:\n%s%s", code, c.code, c.line, out, failure)
			}
		})
	}
	if code, out, _ := memgate(t, "", "check", filepath.Join(t.TempDir(), "none.yaml")); code != 1 || !strings.Contains(out, "none.yaml") {
		t.Errorf("a file that does not exist: exit code %d, %q", code, out)
	}
	if code, out, _ := memgate(t, "", "check"); code != 0 || !strings.HasPrefix(out, "memgate.yaml: ") {
		t.Errorf("without a file: exit code %d, %q", code, out)
	}
}

func TestSchema(t *testing.T) {
	code, out, _ := memgate(t, "", "schema")
	var schema struct {
		Schema     string `json:"$schema"`
		Properties map[string]any
	}
	if err := json.Unmarshal([]byte(out), &schema); code != 0 || err != nil || schema.Schema == "" || schema.Properties["routes"] == nil {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

func TestRenderIsWhatIsCommitted(t *testing.T) {
	want := read(t, filepath.Join(harness.Root(), "envoy", "envoy.yaml"))
	if code, out, failure := memgate(t, "", "render", "envoy"); code != 0 || out != want {
		t.Errorf("exit code %d %s; 'make render' writes envoy/envoy.yaml anew", code, failure)
	}
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	if code, out, failure := memgate(t, "", "render", "envoy", "--output", path); code != 0 || out != "" || read(t, path) != want {
		t.Errorf("into a file: exit code %d %s%s", code, out, failure)
	}
}

func TestExplain(t *testing.T) {
	config := filepath.Join(t.TempDir(), "memgate.yaml")
	write(t, config, read(t, filepath.Join(harness.Root(), "memgate.yaml")))
	code, key, failure := memgate(t, "", "key", "create", "--config", config, "--tenant", "acme", "--scope", "memory:write")
	if key = strings.TrimSpace(key); code != 0 || key == "" {
		t.Fatalf("exit code %d %s", code, failure)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want []string // in this order
	}{
		"allowed": {[]string{"--method", "POST", "--path", "/api/v2/agents/a/remember", "--header", "X-API-Key: " + key}, 0,
			[]string{"route       pass", "remember", "credential  pass", "api_key", "verify      pass", "tenant      pass", "acme", "access      pass", "memory:write", "quota       pass", "allow       pass"}},
		"a scope is missing": {[]string{"-X", "POST", "--path", "/api/v2/agents/a/recall", "-H", "Authorization: Token " + key}, 1,
			[]string{"verify      pass", "tenant      pass", "access      deny", "memory:read", "403"}},
		"no credential": {[]string{"--path", "/api/v2/agents"}, 1, []string{"route       pass", "credential  deny", "401"}},
		"wrong key":     {[]string{"--path", "/api/v2/agents", "-H", "X-API-Key: mg_" + strings.Repeat("a", 40)}, 1, []string{"verify", "deny", "401"}},
		"no route":      {[]string{"--path", "/nowhere"}, 1, []string{"route", "deny", "403"}},
		"preflight": {[]string{"-X", "OPTIONS", "--path", "/api/v2/agents", "-H", "Origin: http://localhost:3000", "-H", "Access-Control-Request-Method: GET"}, 0,
			[]string{"preflight  pass", "204"}},
		"preflight of a stranger": {[]string{"-X", "OPTIONS", "--path", "/api/v2/agents", "-H", "Origin: https://evil.example", "-H", "Access-Control-Request-Method: GET"}, 1,
			[]string{"preflight  deny", "403"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, failure := memgate(t, "", append([]string{"explain", "--config", config}, c.args...)...)
			if code != c.code || failure != "" {
				t.Errorf("exit code %d, want %d: %s", code, c.code, failure)
			}
			rest := out
			for _, text := range c.want {
				_, after, ok := strings.Cut(rest, text)
				if !ok {
					t.Fatalf("%q is missing, or out of order, in:\n%s", text, out)
				}
				rest = after
			}
			if strings.Contains(out, key) {
				t.Error("the key is shown")
			}
		})
	}
}

// Offsets count code points: each emoji here is four bytes and one of them.
func TestScan(t *testing.T) {
	const text = "😀🎉 mail jane.doe@example.com"
	code, out, _ := memgate(t, text, "pii", "scan")
	fields := strings.Split(strings.TrimSpace(out), "\t")
	if code != 0 || len(fields) != 4 || strings.Join(fields[:3], " ") != "EMAIL_ADDRESS 8 28" {
		t.Errorf("exit code %d: %q", code, out)
	}

	type line struct {
		Findings []struct {
			Entity     string
			Start, End int
			Score      float64
		}
	}
	code, out, _ = memgate(t, `{"text":"`+text+`"}`+"\n"+`{"text":"nothing"}`+"\n"+`{"text":"\ud83d\ude00 4111 1111 1111 1111"}`+"\n", "pii", "scan", "--format", "ndjson")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 3 || lines[1] != `{"findings":[]}` {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for i, want := range map[int]string{0: "EMAIL_ADDRESS", 2: "CREDIT_CARD"} {
		var got line
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil || len(got.Findings) != 1 {
			t.Fatalf("%v: %s", err, lines[i])
		}
		f := got.Findings[0]
		start, end := 8, 28
		if i == 2 {
			start, end = 2, 21
		}
		if f.Entity != want || f.Start != start || f.End != end || f.Score <= 0 || f.Score > 1 {
			t.Errorf("line %d: %+v, want %s from %d to %d", i, f, want, start, end)
		}
	}

	code, out, failure := memgate(t, `{"text":"203.0.113.77"}`+"\nnonsense\n", "pii", "scan", "--format", "ndjson")
	if code != 1 || !strings.Contains(failure, "line 2") || !strings.Contains(out, "IP_ADDRESS") {
		t.Errorf("a line that is not JSON: exit code %d, %q, %q", code, out, failure)
	}
}

func TestRedact(t *testing.T) {
	const text = "😀 mail jane.doe@example.com, card 4111 1111 1111 1111\n"
	if code, out, failure := memgate(t, text, "pii", "redact"); code != 0 || out != "😀 mail [EMAIL_ADDRESS], card [CREDIT_CARD]\n" {
		t.Errorf("exit code %d: %q %s", code, out, failure)
	}
	config := filepath.Join(t.TempDir(), "memgate.yaml")
	yaml := read(t, filepath.Join(harness.Root(), "memgate.yaml"))
	write(t, config, strings.Replace(yaml, "request: { default: redact }", "request: { default: redact, EMAIL_ADDRESS: allow, CREDIT_CARD: mask, US_SSN: block }", 1))
	code, out, failure := memgate(t, text, "pii", "redact", "--config", config)
	if code != 0 || !strings.HasPrefix(out, "😀 mail jane.doe@example.com, card ") || strings.Contains(out, "4111 1111 1111") {
		t.Errorf("by a policy: exit code %d: %q %s", code, out, failure)
	}
	if code, out, failure = memgate(t, "SSN 078-05-1121", "pii", "redact", "--config", config); code != 1 || strings.Contains(out, "078") || !strings.Contains(failure, "US_SSN") {
		t.Errorf("blocked: exit code %d: %q %q", code, out, failure)
	}
	const object = `{"a":"jane.doe@example.com","n":1.50}`
	if code, out, failure = memgate(t, object, "pii", "redact", "--format", "json"); code != 0 || out != `{"a":"[EMAIL_ADDRESS]","n":1.50}` {
		t.Errorf("JSON: exit code %d: %q %s", code, out, failure)
	}
}

// Wrong usage is exit code 2 and a hint, and prints nothing on standard output.
func TestWrongUsage(t *testing.T) {
	for _, line := range []string{
		"frobnicate", "--frobnicate", "check a b", "check --frobnicate", "schema x", "render nothing", "key nothing",
		"key create", "key revoke", "key create --tenant t --expires-in=-1h", "pii scan --format xml", "pii redact --format xml",
		"explain --header nonsense", "serve --log-level loud", "serve x", "dev x", "token x",
	} {
		code, out, failure := memgate(t, "", strings.Fields(line)...)
		if code != 2 || out != "" || !strings.HasPrefix(failure, "memgate: ") || !strings.Contains(failure, "memgate --help") {
			t.Errorf("memgate %s: exit code %d, %q, %q", line, code, out, failure)
		}
	}
}

func TestCompletion(t *testing.T) {
	code, script, failure := memgate(t, "", "completion", "bash")
	if code != 0 || !strings.Contains(script, "memgate") {
		t.Fatalf("exit code %d %s", code, failure)
	}
	if code, _, failure := execute(t, nil, "", script, "bash", "-n"); code != 0 {
		t.Errorf("bash does not take the script: %s", failure)
	}
	if code, out, _ := memgate(t, "", "__complete", "che"); code != 0 || !strings.Contains(out, "check") {
		t.Errorf("che is not completed: exit code %d %q", code, out)
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	code, out, _ := memgate(t, "", "--help")
	for _, name := range []string{"check", "dev", "explain", "key", "pii", "render", "schema", "serve", "token"} {
		if code != 0 || !strings.Contains(out, "\n  "+name+" ") {
			t.Errorf("exit code %d; %s is missing in:\n%s", code, name, out)
		}
	}
	if out == "" || os.Getenv("HOME") != "" && strings.Contains(out, os.Getenv("HOME")+"/") {
		t.Errorf("help names a folder of this machine:\n%s", out)
	}
}
