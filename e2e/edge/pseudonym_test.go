package edge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// whole returns the longest pseudonym in text: the service shortens titles.
func whole(text string) (longest string) {
	for _, p := range regexp.MustCompile(`mgpii0emailaddress0[a-z2-7]+`).FindAllString(text, -1) {
		if len(p) > len(longest) {
			longest = p
		}
	}
	return longest
}

// The service holds pseudonyms: it finds them by the original, those who may see it
// get it back, and the keys can be replaced.
func TestPseudonyms(t *testing.T) {
	const address = "jane.doe@example.com"
	folder := t.TempDir()
	key := func(name string) string {
		path := filepath.Join(folder, name)
		made, err := exec.Command(harness.Memgate(t), "pii", "key").Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, made, 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	first, second := key("first"), key("second")
	const rules = "  request: { default: redact }\n"
	with := func(yaml, keys string) string {
		if !strings.Contains(yaml, rules) {
			t.Fatalf("memgate.yaml does not hold %q any more", rules)
		}
		return strings.Replace(yaml, rules, "  request: { default: redact, EMAIL_ADDRESS: pseudonymize }\n  pseudonyms: { keys: ["+keys+"], reveal: \"memory:pii\" }\n", 1)
	}
	var plain string
	s := harness.StartStack(t, func(yaml string) string {
		plain = yaml
		return with(yaml, first)
	})
	token, other := s.Token("acme", scopes), s.Token("other", scopes+" memory:pii")
	revealing := s.Token("acme", scopes+" memory:pii")
	ask := func(token, path, body string) *harness.Response {
		t.Helper()
		r := s.JSON(t, "POST", path, token, body)
		if r.Status >= 300 {
			t.Fatalf("%s: %d %s", path, r.Status, r.Body)
		}
		return r
	}
	const agent = "/api/v2/agents/p"
	for _, token := range []string{token, other} {
		ask(token, "/api/v2/agents", `{"agent_id":"p","pattern":"tool"}`)
	}
	ask(token, agent+"/remember", `{"type":"fact","content":"Write to `+address+` on Mondays"}`)
	ask(token, agent+"/remember", `{"type":"fact","content":"Write to joe@example.org on Fridays"}`)
	if held := s.Held(t, "acme", "POST", agent+"/recall", `{"query":"write mondays"}`); strings.Contains(held, "jane.doe") || !strings.Contains(held, "mgpii0") {
		t.Errorf("the service holds %s", held)
	}

	// A query by the original finds the memory, and closed it stays.
	found := ask(token, agent+"/recall", `{"query":"`+address+`"}`)
	jane := whole(found.Body)
	if jane == "" || !strings.Contains(found.Body, "Mondays") || strings.Contains(found.Body, "Fridays") || strings.Contains(found.Body, address) {
		t.Fatalf("%s", found.Body)
	}
	// Who may see it gets it back, and that is on record.
	opened := ask(revealing, agent+"/recall", `{"query":"`+jane+`"}`)
	if !strings.Contains(opened.Body, "Write to "+address+" on Mondays") || strings.Contains(opened.Body, jane) {
		t.Errorf("%s", opened.Body)
	}
	harness.Eventually(t, func() error {
		line := s.CLI("audit", "query", "--config", s.Config, "--request-id", opened.ID)
		if harness.Has(harness.Findings) && !strings.Contains(line, `"opened_pseudonyms":`) || strings.Contains(line, "jane") {
			return fmt.Errorf("the audit log has %s", line)
		}
		return nil
	})
	// Of another tenant it stays closed, whatever that one may see, and forged ones are text.
	ask(other, agent+"/remember", `{"type":"fact","content":"Gamma is `+jane+`, and `+jane[:len(jane)-1]+`"}`)
	if r := ask(other, agent+"/recall", `{"query":"gamma"}`); !strings.Contains(r.Body, jane+", and "+jane[:len(jane)-1]) {
		t.Errorf("%s", r.Body)
	}

	// A new key makes other pseudonyms, and the old ones still open.
	s.WritePolicy(with(plain, second+", "+first))
	harness.Eventually(t, func() error {
		ask(token, agent+"/remember", `{"type":"fact","content":"Call `+address+` on Sundays"}`)
		r := ask(token, agent+"/recall", `{"query":"sundays call"}`)
		if !strings.Contains(r.Body, "Call mgpii0") || strings.Contains(r.Body, "Call "+jane) {
			return fmt.Errorf("%s", r.Body)
		}
		return nil
	})
	r := ask(revealing, agent+"/recall", `{"query":"mondays sundays"}`)
	if !strings.Contains(r.Body, "Write to "+address) || !strings.Contains(r.Body, "Call "+address) {
		t.Errorf("%s", r.Body)
	}
	// An operator opens them by hand.
	cmd := exec.Command(harness.Memgate(t), "pii", "open", "--config", s.Config, "--tenant", "acme")
	cmd.Stdin = strings.NewReader("to " + jane + ".")
	if out, err := cmd.Output(); err != nil || string(out) != "to "+address+"." {
		t.Errorf("%q, %v", out, err)
	}
}
