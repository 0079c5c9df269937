package mcp

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// TestNodeClient runs the client from npm, with an API key, through every tool.
func TestNodeClient(t *testing.T) {
	node, modules := harness.OnPath(t, "node"), harness.Fetched(t, "MEMGATE_CLIENTS", "clients", "tools/node.sh clients")
	key := stack.APIKey("node", scopes)
	harness.Eventually(t, func() error { // a running memgate takes notice of a new key
		return harness.Want(stack.Do(t, harness.Request{Path: "/v1/ping/", Header: map[string]string{"X-API-Key": key}}), 200)
	})
	var failure strings.Builder
	cmd := exec.CommandContext(t.Context(), node, "testdata/client.mjs", modules, stack.URL+"/mcp", key)
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, failure.String())
	}
	type memories struct{ Memories []struct{ Content string } }
	var told struct {
		Tools      []string
		Remembered struct {
			ID string `json:"memory_id"`
		}
		Recalled, Left memories
		Forgotten      struct{ Status string }
		Refused        string
	}
	if err := json.Unmarshal(out, &told); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Join(told.Tools, " ") != "forget list recall remember" || told.Remembered.ID == "" {
		t.Errorf("%s", out)
	}
	if len(told.Recalled.Memories) != 1 || told.Recalled.Memories[0].Content != "The invoice goes to [EMAIL_ADDRESS]" {
		t.Errorf("recalled %+v", told.Recalled)
	}
	if told.Forgotten.Status != "deleted" || len(told.Left.Memories) != 0 || !strings.Contains(told.Refused, "content: Field required") {
		t.Errorf("%s", out)
	}
}
