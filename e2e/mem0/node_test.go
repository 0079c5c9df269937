package mem0

import (
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// startNode runs the client from npm.
func startNode(t *testing.T) *clients {
	t.Helper()
	node, modules := harness.OnPath(t, "node"), harness.Fetched(t, "MEMGATE_CLIENTS", "clients", "tools/node.sh clients")
	return run(t, node, "testdata/client.mjs", modules)
}

// nodeMemory is a memory as the npm client returns it, which changes the names of members.
type nodeMemory struct {
	ID, Memory, Event    string
	UserID               string `json:"userId"`
	OldMemory, NewMemory string
	Name, Type           string // of an entity
	Metadata             map[string]any
}

type nodeList struct {
	Count   int
	Results []nodeMemory
}

// TestNodeClient is every call of the npm client that needs no language model.
func TestNodeClient(t *testing.T) {
	c := startNode(t) // first, as it may skip
	stack := harness.StartStack(t, nil)
	for name, tenant := range map[string]string{"a": "node-a", "b": "node-b"} {
		key := stack.APIKey(tenant, scopes)
		harness.Eventually(t, func() error {
			return harness.Want(stack.Do(t, harness.Request{Path: "/v1/ping/", Header: map[string]string{"Authorization": "Token " + key}}), 200)
		})
		c.call(t, name, "connect", nil, kwargs{"apiKey": key, "host": stack.URL}, nil)
	}
	c.call(t, "a", "ping", nil, nil, nil)
	var added, found nodeList
	c.call(t, "a", "add", args{[]kwargs{
		{"role": "user", "content": "I am allergic to peanuts, write to jane.doe@example.com"},
		{"role": "assistant", "content": "Noted: no peanuts on the trail"},
	}}, kwargs{"userId": "jane", "metadata": kwargs{"topic": "health"}}, &added)
	if len(added.Results) != 2 || added.Results[0].Event != "ADD" {
		t.Fatalf("add: %+v", added)
	}
	first, second := added.Results[0].ID, added.Results[1].ID
	owner := kwargs{"filters": kwargs{"user_id": "jane"}}
	c.call(t, "a", "search", args{"what am I allergic to?"}, owner, &found)
	if len(found.Results) == 0 || found.Results[0].ID != first || found.Results[0].Memory != "I am allergic to peanuts, write to [EMAIL_ADDRESS]" {
		t.Errorf("search: %+v", found)
	}
	c.call(t, "a", "getAll", nil, kwargs{"filters": kwargs{"user_id": "jane"}, "page": 1, "pageSize": 1}, &found)
	if found.Count != 2 || len(found.Results) != 1 {
		t.Errorf("getAll: %+v", found)
	}
	var one nodeMemory
	c.call(t, "a", "update", args{first}, kwargs{"text": "I am allergic to walnuts"}, nil)
	c.call(t, "a", "get", args{first}, nil, &one)
	if one.Memory != "I am allergic to walnuts" || one.UserID != "jane" || one.Metadata["topic"] != "health" {
		t.Errorf("get: %+v", one)
	}
	var history []nodeMemory
	c.call(t, "a", "history", args{first}, nil, &history)
	if len(history) != 2 || !strings.Contains(history[1].OldMemory, "peanuts") || history[1].NewMemory != "I am allergic to walnuts" {
		t.Errorf("history: %+v", history)
	}
	c.call(t, "a", "batchUpdate", args{[]kwargs{{"memoryId": second, "text": "no nuts at all"}}}, nil, nil)
	c.call(t, "a", "get", args{second}, nil, &one)
	if one.Memory != "no nuts at all" {
		t.Errorf("after batchUpdate: %+v", one)
	}
	c.call(t, "a", "users", nil, nil, &found)
	if len(found.Results) != 1 || found.Results[0].Name != "jane" || found.Results[0].Type != "user" {
		t.Errorf("users: %+v", found)
	}

	// Nothing of this exists for another tenant.
	for _, got := range []answer{c.try(t, "b", "get", args{first}, nil), c.try(t, "b", "update", args{first}, kwargs{"text": "x"}), c.try(t, "b", "delete", args{first}, nil)} {
		if got.Error == "" || !strings.Contains(got.Message+got.Error, "ot found") && !strings.Contains(got.Error, "NotFound") {
			t.Errorf("another tenant: %+v %s", got, got.Result)
		}
	}
	c.call(t, "b", "getAll", nil, owner, &found)
	if found.Count != 0 {
		t.Errorf("another tenant sees %+v", found)
	}
	// What needs a language model says so, in a way that the client shows.
	if got := c.try(t, "a", "createMemoryExport", nil, kwargs{"schema": kwargs{}, "filters": kwargs{"user_id": "jane"}}); !strings.Contains(got.Message, "language model") {
		t.Errorf("an export: %+v %s", got, got.Result)
	}

	c.call(t, "a", "batchDelete", args{[]string{second}}, nil, nil)
	c.call(t, "a", "delete", args{first}, nil, nil)
	if got := c.try(t, "a", "get", args{first}, nil); got.Error == "" {
		t.Errorf("a deleted memory: %s", got.Result)
	}
	c.call(t, "a", "add", args{[]kwargs{{"role": "user", "content": "likes tea"}}}, kwargs{"userId": "zoe"}, nil)
	c.call(t, "a", "deleteUsers", nil, kwargs{"userId": "zoe"}, nil)
	c.call(t, "a", "add", args{[]kwargs{{"role": "user", "content": "likes rain"}}}, kwargs{"userId": "yan"}, nil)
	c.call(t, "a", "deleteAll", nil, kwargs{"userId": "yan"}, nil)
	c.call(t, "a", "users", nil, nil, &found)
	if len(found.Results) != 0 {
		t.Errorf("left: %+v", found)
	}
}
