package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func action(uid string) *Action {
	return &Action{
		UID: uid, Time: noon, Action: Revoke, Object: "key-subject", ID: "jane", Tenant: "acme", Subject: "jane",
		Operator: "alice", Host: "edge-1", Effective: noon.Add(time.Hour),
	}
}

const uidOne, uidTwo = "AAAAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBBBB"

// logAt opens a log in a folder, and returns what is in it.
func logAt(t *testing.T, path string) (*Writer, func() string) {
	t.Helper()
	key, err := LoadOrCreateKey(filepath.Join(filepath.Dir(path), "key"), deterministic())
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(path, Config{Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return w, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// deterministic is randomness enough for a key.
func deterministic() *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{7}, 1024)) }

func waiting(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path + SpoolSuffix)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// What commands left is in the log once, with what it says and nothing else, also when the
// process ends between writing it and taking it out.
func TestSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	w, text := logAt(t, path)
	reader := NewSpool(path)
	if n, err := reader.Take(w); n != 0 || err != nil {
		t.Fatalf("nothing waits: %d, %v", n, err)
	}
	if err := NewSpool(path).Put(action(uidOne)); err != nil {
		t.Fatal(err)
	}
	name := waiting(t, path)
	if len(name) != 1 {
		t.Fatalf("%v", name)
	}
	file := filepath.Join(path+SpoolSuffix, name[0])
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if info, err := os.Stat(path + SpoolSuffix); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	left, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := reader.Take(w); n != 1 || err != nil || len(waiting(t, path)) != 0 {
		t.Fatalf("%d, %v, %v", n, err, waiting(t, path))
	}

	// The process ended before it could take the action out.
	if err := os.WriteFile(file, left, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewSpool(path).Put(action(uidTwo)); err != nil {
		t.Fatal(err)
	}
	if n, err := NewSpool(path).Take(w); n != 2 || err != nil || len(waiting(t, path)) != 0 {
		t.Errorf("%d, %v, %v", n, err, waiting(t, path))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{uidOne, uidTwo} {
		if n := strings.Count(text(), `"action_uid":"`+uid+`"`); n != 1 {
			t.Errorf("%s is in the log %d times", uid, n)
		}
	}
	logs, _, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Filter{{Actions: true}, {Operator: "alice"}, {Tenant: "acme", Subject: "jane"}} {
		n := 0
		if _, err := Query(logs, f, func(_ []byte, r *Record) error {
			if n++; r.Action != Revoke || r.Object != "key-subject" || r.ObjectID != "jane" || r.Host != "edge-1" || !r.Effective.Equal(noon.Add(time.Hour)) || !r.Time.Equal(noon) {
				t.Errorf("%+v", r)
			}
			return nil
		}); err != nil || n != 2 {
			t.Errorf("%+v: %d, %v", f, n, err)
		}
	}
	if n, err := Query(logs, Filter{Operator: "bob"}, func([]byte, *Record) error { return errors.New("found") }); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// What is no action is set aside, what cannot be written stays, and a spool that nobody
// empties does not grow without end.
func TestSpoolFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := NewSpool(path).Put(action(uidOne)); err != nil {
		t.Fatal(err)
	}
	folder := path + SpoolSuffix
	for name, content := range map[string]string{
		"00-garbage.json": "{", "01-open.json": "{}", "02-secret.json": `{"uid":"` + uidTwo + `","time":"2026-05-01T12:00:00Z","action":"revoke","object":"key","object_id":"x","operator":"a","key":"y"}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(folder, "01-open.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	closed, text := logAt(t, path)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	s := NewSpool(path)
	if n, err := s.Take(closed); n != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("a closed log: %d, %v", n, err)
	}
	w, err := Open(path, closed.config)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n, err := s.Take(w); n != 1 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := waiting(t, path); len(got) != 3 || got[0] != "00-garbage.json.refused" || got[1] != "01-open.json" || got[2] != "02-secret.json.refused" {
		t.Errorf("%v", got)
	}
	if !strings.Contains(text(), uidOne) || strings.Contains(text(), uidTwo) {
		t.Error(text())
	}
	for name, edit := range map[string]func(*Action){
		"no uid": func(a *Action) { a.UID = "" }, "a path": func(a *Action) { a.UID = "../../../../../etc/passwd" }, "no operator": func(a *Action) { a.Operator = "" },
		"no such action": func(a *Action) { a.Action = "read" }, "nothing": func(a *Action) { a.ID = "" }, "no time": func(a *Action) { a.Time = time.Time{} },
		"endless": func(a *Action) { a.ID = strings.Repeat("x", maxAction) },
	} {
		a := action(uidTwo)
		edit(a)
		if err := s.Put(a); !errors.Is(err, errAction) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range maxSpooled {
		name := filepath.Join(folder, strings.Repeat("9", 20)+"-"+strings.Repeat("x", i%50)+string(rune('a'+i/50%26))+string(rune('a'+i/1300))+spooled)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ready(); !errors.Is(err, ErrSpool) {
		t.Errorf("a full spool: %v", err)
	}
}

// A folder that cannot be written to is known before anything is done.
func TestSpoolWithoutRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path+SpoolSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSpool(path)
	if err := s.Ready(); err == nil {
		t.Error("a file in the place of the folder is ready")
	}
	if err := s.Put(action(uidOne)); err == nil {
		t.Error("an action was put into a file")
	}
}

// What OCSF requires of the class Entity Management (schema 1.3.0).
func TestActionIsOCSF(t *testing.T) {
	a := action(uidOne)
	a.ID, a.Host = "a\"b\u2028", strings.Repeat("h", 1000)
	for _, line := range [][]byte{a.AppendJSON(nil), a.appendLine(nil, 3)} {
		var event map[string]any
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, required := range []string{"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "entity"} {
			if _, ok := event[required]; !ok {
				t.Errorf("no %s: %s", required, line)
			}
		}
		if event["class_uid"] != 3004.0 || event["category_uid"] != 3.0 || event["type_uid"] != 300404.0 || event["activity_id"] != 4.0 {
			t.Errorf("%s", line)
		}
		if entity := event["entity"].(map[string]any); entity["uid"] != a.ID || entity["type"] != "key-subject" {
			t.Errorf("%v", entity)
		}
	}
}

// A key can be made before the first start, when there is no folder of the log yet.
func TestSpoolBeforeTheLog(t *testing.T) {
	s := Spool{path: filepath.Join(t.TempDir(), ".run", "audit.log")}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(s.folder()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}
