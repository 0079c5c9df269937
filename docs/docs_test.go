// Package docs tests what the documentation says: that the policy it shows is
// accepted, that its links lead somewhere, and that its metrics exist.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/pii/catalog"
	"github.com/memgate/memgate/filter/poison"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
)

const root = ".."

func TestPolicyInREADME(t *testing.T) {
	var block []string
	for line := range strings.Lines(read(t, filepath.Join(root, "README.md"))) {
		text := strings.TrimPrefix(line, "       ")
		switch {
		case text == "version: 1\n":
			block = []string{text}
		case block == nil:
		case line != "\n" && text == line: // less indented: the block is over
			check(t, strings.Join(block, ""))
			return
		default:
			block = append(block, text)
		}
	}
	t.Fatal("README.md shows no policy")
}

// The page shows the files that e2e/dropin runs, whole.
func TestDropIn(t *testing.T) {
	page := read(t, "drop-in.md")
	files, err := filepath.Glob("../e2e/dropin/testdata/*")
	if err != nil || len(files) < 3 {
		t.Fatalf("%q %v", files, err)
	}
	for _, file := range files {
		var shown strings.Builder
		for line := range strings.Lines(read(t, file)) {
			if line != "\n" {
				shown.WriteString("    ")
			}
			shown.WriteString(line)
		}
		if !strings.Contains(page, "\n\n"+shown.String()+"\n") {
			t.Errorf("drop-in.md does not show %s as it is", file)
		}
	}
}

func check(t *testing.T, text string) {
	t.Helper()
	_, warnings, err := policy.Parse([]byte(text), "README.md", t.TempDir())
	if err != nil {
		t.Errorf("the policy in README.md: %v", err)
	}
	for _, w := range warnings {
		t.Errorf("the policy in README.md: %s", w)
	}
}

func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
}

// What the code is the source of is as make render writes it.
func TestGenerated(t *testing.T) {
	for page, want := range map[string]string{
		"entities.md":         string(catalog.Markdown()),
		"policy.md":           string(policy.Reference()),
		"memgate.schema.json": string(policy.Schema()),
		"problems.md":         read(t, "problems.head.md") + string(problem.Reference()),
	} {
		if read(t, page) != want {
			t.Errorf("docs/%s is stale: run make render", page)
		}
	}
}

// Every metric that the operator's page names is registered.
func TestMetrics(t *testing.T) {
	page := read(t, "operations.md")
	registry := prometheus.NewRegistry()
	authz.NewMetrics(registry)
	descriptions := make(chan *prometheus.Desc, 64)
	registry.Describe(descriptions)
	close(descriptions)
	n := 0
	for d := range descriptions {
		n++
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		if !strings.Contains(page, "`"+name) {
			t.Errorf("operations.md does not name the metric %s", name)
		}
	}
	if n == 0 {
		t.Error("no metrics are registered")
	}
}

// Every rule of the scores is on its page, with its weight, and no other.
func TestPoisonRules(t *testing.T) {
	page := read(t, "poisoning.md")
	rows := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(page, -1)
	rules := poison.Rules()
	if len(rows) != len(rules) {
		t.Fatalf("poisoning.md has %d rules, there are %d", len(rows), len(rules))
	}
	for i, r := range rules {
		weight := strconv.Itoa(r.Weight)
		if r.ID == "custom" {
			weight = "as `poison.quarantine`"
		}
		if rows[i][1] != r.ID || rows[i][2] != weight {
			t.Errorf("poisoning.md says %s weighs %s; %s weighs %s", rows[i][1], rows[i][2], r.ID, weight)
		}
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 5 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
