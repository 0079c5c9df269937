// Package mem0 runs the unmodified clients of mem0's hosted service, from PyPI and
// from npm, against the memory service, through the edge and a real Envoy.
package mem0

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// answerWithin bounds one call of the client, its start included.
const answerWithin = time.Minute

const scopes = "memory:read memory:write"

// answer is what a call of the client came to.
type answer struct {
	Result  json.RawMessage
	Error   string // class of the exception
	Message string
	Status  int
}

// clients is a process that holds mem0 clients by name.
type clients struct {
	in      io.Writer
	answers chan answer
	failure *strings.Builder // its standard error
}

// start runs the client from PyPI.
func start(t *testing.T) *clients {
	t.Helper()
	python := os.Getenv("MEM0_PYTHON")
	if python == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("MEM0_PYTHON is not set; tools/venv.sh makes a Python with the mem0 client")
		}
		t.Skip("MEM0_PYTHON is not set: the mem0 client is not tested. tools/venv.sh makes a Python that has it.")
	}
	return run(t, python, "testdata/client.py")
}

// run runs a program that makes the calls until the test ends.
func run(t *testing.T, program string, args ...string) *clients {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(program, args...)
	// The client must report nothing, and take nothing from the one who runs the test.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "MEM0_DIR=" + filepath.Join(home, "mem0"),
		"MEM0_TELEMETRY=false", "NO_PROXY=127.0.0.1", "PYTHONDONTWRITEBYTECODE=1"}
	c := &clients{answers: make(chan answer), failure: new(strings.Builder)}
	cmd.Stderr = c.failure
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in = in
	go func() {
		defer close(c.answers)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var a answer
			if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
				a = answer{Error: "no JSON", Message: lines.Text()}
			}
			c.answers <- a
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		for range c.answers { // until it is gone
		}
		_ = cmd.Wait()
	})
	return c
}

// args and kwargs are the arguments of a call in Python.
type (
	args   []any
	kwargs map[string]any
)

// try calls a method of a client.
func (c *clients) try(t *testing.T, client, method string, a args, k kwargs) answer {
	t.Helper()
	line, err := json.Marshal(map[string]any{"client": client, "method": method, "args": a, "kwargs": k})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		t.Fatalf("%s.%s: %v\n%s", client, method, err, c.failure)
	}
	select {
	case got, ok := <-c.answers:
		if !ok {
			t.Fatalf("%s.%s: the client ended\n%s", client, method, c.failure)
		}
		return got
	case <-time.After(answerWithin):
		t.Fatalf("%s.%s: no answer\n%s", client, method, c.failure)
	}
	panic("unreachable")
}

// call calls a method that must succeed and decodes its result.
func (c *clients) call(t *testing.T, client, method string, a args, k kwargs, result any) {
	t.Helper()
	got := c.try(t, client, method, a, k)
	if got.Error != "" {
		t.Fatalf("%s.%s(%v, %v): %s: %s (status %d)", client, method, a, k, got.Error, got.Message, got.Status)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(got.Result, result); err != nil {
		t.Fatalf("%s.%s: %v: %s", client, method, err, got.Result)
	}
}

// memory is a memory as the client returns it.
type memory struct {
	ID         string
	Memory     string
	Event      string
	UserID     string `json:"user_id"`
	Metadata   map[string]any
	Score      float64
	Text       string
	OldMemory  string `json:"old_memory"`
	NewMemory  string `json:"new_memory"`
	Name, Type string // of an entity
}

type list struct {
	Count   int
	Next    *string
	Results []memory
}

func (l list) find(id string) *memory {
	for i := range l.Results {
		if l.Results[i].ID == id {
			return &l.Results[i]
		}
	}
	return nil
}

// connect makes a client for a tenant, with a key that the command line made.
func connect(t *testing.T, stack *harness.Stack, c *clients, name, tenant, scope string) {
	t.Helper()
	key := stack.APIKey(tenant, scope)
	harness.Eventually(t, func() error { // a running memgate takes notice of a new key
		return harness.Want(stack.Do(t, harness.Request{Path: "/v1/ping/", Header: map[string]string{"Authorization": "Token " + key}}), 200)
	})
	c.call(t, name, "connect", nil, kwargs{"api_key": key, "host": stack.URL}, nil)
}

func TestClient(t *testing.T) {
	c := start(t) // first, as it may skip
	stack := harness.StartStack(t, nil)
	connect(t, stack, c, "a", "tenant-a", scopes)
	connect(t, stack, c, "b", "tenant-b", scopes)

	t.Run("life of a memory", func(t *testing.T) { life(t, c) })
	t.Run("pages", func(t *testing.T) { pages(t, c) })
	t.Run("entities", func(t *testing.T) { entities(t, c) })
	t.Run("batches", func(t *testing.T) { batches(t, c) })
	t.Run("tenants never meet", func(t *testing.T) { tenants(t, c) })
	t.Run("personal data", func(t *testing.T) { personal(t, stack, c) })
	t.Run("refusals", func(t *testing.T) { refusals(t, stack, c) })
}

// life is every operation on one memory, from its making to its end.
func life(t *testing.T, c *clients) {
	owner := kwargs{"filters": kwargs{"user_id": "life"}}
	var added list
	c.call(t, "a", "add", args{[]kwargs{
		{"role": "user", "content": "I am allergic to peanuts and love hiking in the Alps"},
		{"role": "assistant", "content": "Noted: no peanuts on the trail"},
	}}, kwargs{"user_id": "life", "metadata": kwargs{"topic": "health"}}, &added)
	if len(added.Results) != 2 || added.Results[0].Event != "ADD" || added.Results[0].ID == "" {
		t.Fatalf("add: %+v", added)
	}
	id := added.Results[0].ID

	var found list
	c.call(t, "a", "search", args{"what am I allergic to?"}, owner, &found)
	if len(found.Results) == 0 || found.Results[0].ID != id || found.Results[0].Score <= 0 {
		t.Fatalf("search: %+v", found)
	}
	c.call(t, "a", "search", args{"what am I allergic to?"}, kwargs{"filters": kwargs{"user_id": "somebody else"}}, &found)
	if len(found.Results) != 0 {
		t.Errorf("a search for another user found %+v", found)
	}

	var all list
	c.call(t, "a", "get_all", nil, owner, &all)
	if all.Count != 2 || all.find(id) == nil {
		t.Errorf("get_all: %+v", all)
	}

	var one memory
	c.call(t, "a", "get", args{id}, nil, &one)
	if one.ID != id || one.UserID != "life" || one.Metadata["topic"] != "health" || !strings.Contains(one.Memory, "peanuts") {
		t.Errorf("get: %+v", one)
	}

	c.call(t, "a", "update", args{id}, kwargs{"text": "I am allergic to walnuts"}, &one)
	if one.Memory != "I am allergic to walnuts" {
		t.Errorf("update: %+v", one)
	}
	c.call(t, "a", "get", args{id}, nil, &one)
	if one.Memory != "I am allergic to walnuts" {
		t.Errorf("get after update: %+v", one)
	}
	c.call(t, "a", "search", args{"walnuts"}, owner, &found)
	if found.find(id) == nil {
		t.Errorf("a search does not find what was updated: %+v", found)
	}
	c.call(t, "a", "search", args{"Alps"}, owner, &found)
	if found.find(id) != nil {
		t.Errorf("a search finds what was overwritten: %+v", found)
	}

	var history []memory
	c.call(t, "a", "history", args{id}, nil, &history)
	if len(history) != 2 || history[0].Event != "ADD" || history[1].Event != "UPDATE" ||
		!strings.Contains(history[1].OldMemory, "peanuts") || history[1].NewMemory != "I am allergic to walnuts" {
		t.Errorf("history: %+v", history)
	}

	c.call(t, "a", "delete", args{id}, nil, nil)
	missing(t, c.try(t, "a", "get", args{id}, nil))
	c.call(t, "a", "get_all", nil, owner, &all)
	if all.Count != 1 || all.find(id) != nil {
		t.Errorf("get_all after delete: %+v", all)
	}

	c.call(t, "a", "delete_all", nil, kwargs{"user_id": "life"}, nil)
	c.call(t, "a", "get_all", nil, owner, &all)
	if all.Count != 0 || len(all.Results) != 0 {
		t.Errorf("get_all after delete_all: %+v", all)
	}
}

// missing checks that the client was told that there is no such memory.
func missing(t *testing.T, got answer) {
	t.Helper()
	if got.Error != "MemoryNotFoundError" || got.Status != 404 {
		t.Errorf("not told that the memory is missing: %+v %s", got, got.Result)
	}
}

func pages(t *testing.T, c *clients) {
	var messages []kwargs
	for _, fruit := range []string{"apple", "banana", "cherry"} {
		messages = append(messages, kwargs{"role": "user", "content": "one more " + fruit})
	}
	c.call(t, "a", "add", args{messages}, kwargs{"user_id": "pages"}, nil)
	seen := make(map[string]bool)
	for page := 1; page <= 3; page++ {
		var got list
		c.call(t, "a", "get_all", nil, kwargs{"filters": kwargs{"user_id": "pages"}, "page": page, "page_size": 1}, &got)
		if got.Count != 3 || len(got.Results) != 1 || (got.Next == nil) != (page == 3) {
			t.Fatalf("page %d: %+v", page, got)
		}
		seen[got.Results[0].Memory] = true
	}
	if len(seen) != 3 {
		t.Errorf("the pages hold %v", seen)
	}
}

func entities(t *testing.T, c *clients) {
	c.call(t, "a", "add", args{"likes tea"}, kwargs{"user_id": "zoe"}, nil)
	c.call(t, "a", "add", args{"answers in French"}, kwargs{"agent_id": "butler"}, nil)
	known := func() string {
		var got list
		c.call(t, "a", "users", nil, nil, &got)
		var names []string
		for _, e := range got.Results {
			names = append(names, e.Type+":"+e.Name)
		}
		return strings.Join(names, " ")
	}
	if got := known(); !strings.Contains(got, "user:zoe") || !strings.Contains(got, "agent:butler") {
		t.Errorf("users: %s", got)
	}
	c.call(t, "a", "delete_users", nil, kwargs{"user_id": "zoe"}, nil)
	if got := known(); strings.Contains(got, "user:zoe") || !strings.Contains(got, "agent:butler") {
		t.Errorf("users after delete_users: %s", got)
	}
}

func batches(t *testing.T, c *clients) {
	var added list
	c.call(t, "a", "add", args{[]kwargs{{"role": "user", "content": "first"}, {"role": "user", "content": "second"}}}, kwargs{"user_id": "batches"}, &added)
	if len(added.Results) != 2 {
		t.Fatalf("add: %+v", added)
	}
	first, second := added.Results[0].ID, added.Results[1].ID
	c.call(t, "a", "batch_update", args{[]kwargs{{"memory_id": first, "text": "third"}, {"memory_id": second, "text": "fourth"}}}, nil, nil)
	var one memory
	c.call(t, "a", "get", args{second}, nil, &one)
	if one.Memory != "fourth" {
		t.Errorf("after batch_update: %+v", one)
	}
	c.call(t, "a", "batch_delete", args{[]kwargs{{"memory_id": first}, {"memory_id": second}}}, nil, nil)
	missing(t, c.try(t, "a", "get", args{first}, nil))
	missing(t, c.try(t, "a", "get", args{second}, nil))
}

// tenants: whatever tenant B asks for, by search or by id, memories of tenant A
// do not exist.
func tenants(t *testing.T, c *clients) {
	var added list
	c.call(t, "a", "add", args{"the vault code is swordfish"}, kwargs{"user_id": "shared", "agent_id": "shared"}, &added)
	if len(added.Results) != 1 {
		t.Fatalf("add: %+v", added)
	}
	id := added.Results[0].ID
	c.call(t, "b", "add", args{"the garden gate is green"}, kwargs{"user_id": "shared"}, nil)

	var got list
	for name, call := range map[string]struct {
		method string
		a      args
		k      kwargs
	}{
		"search by user":   {"search", args{"vault code swordfish"}, kwargs{"filters": kwargs{"user_id": "shared"}}},
		"search anything":  {"search", args{"vault code swordfish"}, kwargs{"filters": kwargs{"user_id": "*"}}},
		"search by agent":  {"search", args{"vault code swordfish"}, kwargs{"filters": kwargs{"agent_id": "shared"}}},
		"get_all by user":  {"get_all", nil, kwargs{"filters": kwargs{"user_id": "shared"}}},
		"get_all":          {"get_all", nil, nil},
		"users":            {"users", nil, nil},
		"search, any of":   {"search", args{"swordfish"}, kwargs{"filters": kwargs{"OR": []kwargs{{"user_id": "shared"}, {"agent_id": "shared"}}}}},
		"search, negation": {"search", args{"swordfish"}, kwargs{"filters": kwargs{"NOT": []kwargs{{"user_id": "nobody"}}}}},
	} {
		c.call(t, "b", call.method, call.a, call.k, &got)
		for _, m := range got.Results {
			if m.ID == id || strings.Contains(m.Memory, "swordfish") || m.Name == "shared" && m.Type == "agent" {
				t.Errorf("%s: tenant B sees %+v of tenant A", name, m)
			}
		}
	}
	for name, result := range map[string]answer{
		"get":          c.try(t, "b", "get", args{id}, nil),
		"history":      c.try(t, "b", "history", args{id}, nil),
		"update":       c.try(t, "b", "update", args{id}, kwargs{"text": "taken over"}),
		"delete":       c.try(t, "b", "delete", args{id}, nil),
		"batch_update": c.try(t, "b", "batch_update", args{[]kwargs{{"memory_id": id, "text": "taken over"}}}, nil),
		"batch_delete": c.try(t, "b", "batch_delete", args{[]kwargs{{"memory_id": id}}}, nil),
	} {
		t.Run(name, func(t *testing.T) { missing(t, result) })
	}
	c.call(t, "b", "delete_all", nil, kwargs{"user_id": "shared"}, nil)
	c.call(t, "b", "get_all", nil, nil, &got)
	if got.Count != 0 {
		t.Errorf("tenant B has %d memories after delete_all", got.Count)
	}

	var one memory
	c.call(t, "a", "get", args{id}, nil, &one)
	if one.Memory != "the vault code is swordfish" {
		t.Errorf("tenant A's memory was changed: %+v", one)
	}
	c.call(t, "a", "search", args{"vault code"}, kwargs{"filters": kwargs{"user_id": "shared"}}, &got)
	if got.find(id) == nil {
		t.Errorf("tenant A does not find its own memory: %+v", got)
	}
}

// personal: what the policy redacts comes back redacted, and the service does
// not hold the original.
func personal(t *testing.T, stack *harness.Stack, c *clients) {
	const address = "jane.doe@example.com"
	var added, found list
	c.call(t, "a", "add", args{"Send the invoice to " + address + " tomorrow"},
		kwargs{"user_id": "personal", "metadata": kwargs{"contact": address}}, &added)
	if len(added.Results) != 1 {
		t.Fatalf("add: %+v", added)
	}
	c.call(t, "a", "search", args{"invoice"}, kwargs{"filters": kwargs{"user_id": "personal"}}, &found)
	m := found.find(added.Results[0].ID)
	if m == nil {
		t.Fatalf("search: %+v", found)
	}
	if want := "Send the invoice to [EMAIL_ADDRESS] tomorrow"; m.Memory != want || m.Metadata["contact"] != "[EMAIL_ADDRESS]" {
		t.Errorf("%q with %v, want %q", m.Memory, m.Metadata, want)
	}
	var one memory
	c.call(t, "a", "update", args{m.ID}, kwargs{"text": "The invoice went to " + address}, &one)
	if want := "The invoice went to [EMAIL_ADDRESS]"; one.Memory != want {
		t.Errorf("update: %q, want %q", one.Memory, want)
	}
	held := stack.Held(t, "tenant-a", "GET", "/v1/memories/"+m.ID+"/", "")
	if strings.Contains(held, address) || !strings.Contains(held, "[EMAIL_ADDRESS]") {
		t.Errorf("the service holds %s", held)
	}
}

// refusals: the client learns why, in its own words.
func refusals(t *testing.T, stack *harness.Stack, c *clients) {
	got := c.try(t, "nobody", "connect", nil, kwargs{"api_key": "mg_aaaaaaaaaaaa_" + strings.Repeat("a", 49), "host": stack.URL})
	if got.Error != "ValueError" || !strings.Contains(got.Message, "The credential is not valid") {
		t.Errorf("an unknown key: %+v", got)
	}
	connect(t, stack, c, "reader", "tenant-a", "memory:read")
	if got := c.try(t, "reader", "add", args{"x"}, kwargs{"user_id": "u"}); got.Error != "AuthenticationError" || got.Status != 403 {
		t.Errorf("a key that may only read: %+v", got)
	}
	if got := c.try(t, "a", "add", args{strings.Repeat("too long ", 2<<10)}, kwargs{"user_id": "u"}); got.Status != 413 {
		t.Errorf("a message that is too long: %+v", got)
	}
	if got := c.try(t, "a", "delete_all", nil, nil); got.Error != "ValidationError" || got.Status != 400 {
		t.Errorf("delete_all without a filter: %+v", got)
	}
}
