package backend

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiskTakesNoMore lets no file of the service grow beyond a mebibyte, which a process meets as it does a disk that fails: a
// write that does not fit is 503 and leaves nothing, what was acknowledged is read meanwhile and afterwards, other tenants go on, and
// so does this one when there is room.
func TestDiskTakesNoMore(t *testing.T) {
	e, data := newEdge(t), filepath.Join(t.TempDir(), "data")
	s := e.serve(t, "ulimit -f 2048; ", nil, "--data", data) // of 512 bytes
	content := strings.Repeat("words ", 1500)
	var stored []string
	for full := false; !full; {
		status, a := s.ask(t, "a", "POST", "/api/v2/agents/bot/remember", fmt.Sprintf(`{"content":"%d %s"}`, len(stored), content))
		switch id, _ := a["memory_id"].(string); {
		case status == 200:
			stored = append(stored, id)
		case status == 503:
			full = true
		default:
			t.Fatalf("write %d: %d %v", len(stored), status, a)
		}
		if len(stored) > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	if len(stored) == 0 {
		t.Fatal("nothing was stored")
	}
	check := func(s *service, want int) {
		t.Helper()
		if status, a := s.ask(t, "a", "POST", "/api/v2/agents/bot/recall/recent", `{"limit":1}`); status != 200 || a["total_available"] != float64(want) {
			t.Errorf("%d stored: %d %v", want, status, a["total_available"])
		}
		for _, id := range stored {
			if status, a := s.ask(t, "a", "GET", "/api/v2/agents/bot/memories/"+id, ""); status != 200 {
				t.Errorf("memory %s: %d %v", id, status, a)
			}
		}
	}
	check(s, len(stored))
	s.remember(t, "b", "another tenant has room")
	s.Stop()
	s = e.serve(t, "", nil, "--data", data)
	check(s, len(stored))
	s.remember(t, "a", "there is room again")
	check(s, len(stored)+1)
}

// TestNothingIsWrittenInClear tells the service a word of its own in each place where it takes text, by every route that stores or
// reads some, and looks for the words in all that is on the disk: its data, a backup, temporary files and its log, while it runs and
// afterwards. Receipts are left out: they name whom they are about.
func TestNothingIsWrittenInClear(t *testing.T) {
	e, dir := newEdge(t), t.TempDir()
	data, temp := filepath.Join(dir, "data"), filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	s := e.serve(t, "", []string{"TMPDIR=" + temp, "SQLITE_TMPDIR=" + temp}, "--data", data, "--access-log", "--log-level", "debug")
	ok := func(method, path, body string, header ...string) map[string]any {
		t.Helper()
		status, a := s.ask(t, "a", method, path, body, header...)
		if status < 200 || status > 299 {
			t.Fatalf("%s %s: %d %v", method, path, status, a)
		}
		return a
	}
	const agent = "/api/v2/agents/zqagent"
	ok("POST", "/api/v2/agents", `{"agent_id":"zqagent","pattern":"tool","description":"zqdescription"}`)
	memory := func(n int) string {
		return fmt.Sprintf(`{"content":"zqcontent%d zqspoken","title":"zqtitle","type":"fact","tags":["zqtag"],"source":"zqsource","source_ref":"zqreference","metadata":{"zqmember":"zqvalue"}}`, n)
	}
	id := ok("POST", agent+"/remember", memory(1), "Idempotency-Key", "zqidempotent")["memory_id"].(string)
	ok("POST", agent+"/remember", memory(1), "Idempotency-Key", "zqidempotent")
	ok("PATCH", agent+"/memories/"+id, `{"content":"zqchanged zqspoken"}`)
	gone := ok("POST", agent+"/remember", memory(2))["memory_id"].(string)
	ok("DELETE", agent+"/memories/"+gone, "")
	ok("POST", "/v3/memories/add/", `{"messages":[{"role":"user","content":"zqmessage","name":"zqactor"}],"user_id":"zquser","app_id":"zqapp","run_id":"zqrun","agent_id":"zqother","infer":false,"metadata":{"zqmember":"zqvalue"}}`)
	held := ok("POST", agent+"/remember", `{"content":"zqheld"}`, "x-memgate-quarantine", `rule;score=9`)
	ok("PUT", "/api/v2/users/zquser/consent", `{"purposes":{"memory":true,"zqpurpose":true},"source":"zqconsent"}`)
	ok("POST", "/api/v2/hold", `{"memory_id":"`+id+`","reason":"zqreason"}`)
	for _, query := range []string{"zqspoken", "zqmessage"} {
		ok("POST", agent+"/recall", `{"query":"`+query+`","limit":5}`)
	}
	ok("GET", agent+"/memories/"+id+"/history", "")
	if reads := ok("GET", agent+"/memories/"+id+"/access", ""); !strings.Contains(fmt.Sprint(reads), "somebody") {
		t.Errorf("nobody read it: %v", reads)
	}
	lines := ok("GET", "/api/v2/export?user_id=zquser", "")["text"].(string)
	if !strings.Contains(lines, "zqmessage") || !strings.Contains(lines, "zqconsent") {
		t.Fatalf("the export: %s", lines)
	}
	if status, a := s.ask(t, "b", "POST", "/api/v2/import", lines, "Content-Type", "application/x-ndjson"); status != 200 {
		t.Fatalf("import: %d %v", status, a)
	}
	for i := range 60 { // more than fits into memory at once where little does
		ok("POST", agent+"/remember", fmt.Sprintf(`{"content":"%s %d"}`, strings.Repeat("zqfiller ", 900), i))
	}
	ok("POST", agent+"/remember", `{"content":"zqfiller 1"}`, "Memory-Purpose", "zqpurpose")
	s.ask(t, "a", "POST", agent+"/recall?zqparameter=1", `{"query":`)
	backup := filepath.Join(dir, "backup")
	s.command(t, "backup", "--data", data, "--to", backup)
	disk := onDisk(t, dir)
	disk = append(disk, s.Log(0)...)
	s.Stop()
	disk = append(append(disk, onDisk(t, dir)...), s.Log(0)...)
	if held["memory_id"] == nil || len(disk) < 1<<20 {
		t.Fatalf("%v, %d bytes", held, len(disk))
	}
	lower := bytes.ToLower(disk)
	for _, word := range []string{"zqagent", "zqdescription", "zqcontent", "zqspoken", "zqtitle", "zqtag", "zqsource", "zqreference", "zqmember", "zqvalue", "zqidempotent", "zqchanged",
		"zqmessage", "zqactor", "zquser", "zqapp", "zqrun", "zqother", "zqheld", "zqpurpose", "zqconsent", "zqreason", "zqfiller", "zqparameter"} {
		for _, form := range []string{word, hex.EncodeToString([]byte(word))} {
			if at := bytes.Index(lower, []byte(form)); at >= 0 {
				t.Errorf("%q is on the disk: …%q…", form, disk[max(0, at-60):min(len(disk), at+40)])
			}
		}
	}
}

// onDisk returns all bytes of all files below a directory, with their names.
func onDisk(t *testing.T, dir string) (all []byte) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(append(append(all, path...), '\n'), text...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}
