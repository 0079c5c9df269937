package sqlite_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/search/corpus"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
	"github.com/memgate/memgate/memory-backend/store/storetest"
)

// onDisk returns every byte of every file below the directories.
func onDisk(t *testing.T, dirs ...string) []byte {
	t.Helper()
	var all []byte
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			all = append(append(append(all, path...), '\n'), data...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// canary is a memory that has a text of its own in each field, and what these are.
func canary() (*memory.Memory, []string) {
	m := &memory.Memory{ID: "1", Type: "fact", Status: memory.StatusExpired, Provenance: "observed", Confidence: 0.5, Created: by.At, Updated: by.At,
		ExpiredAt: by.At, Metadata: json.RawMessage(`{"zqmetakey":"zqmetavalue","zqlist":["zqelement"]}`)}
	var texts []string
	for name, field := range map[string]*string{"agent": &m.Agent, "user": &m.User, "app": &m.App, "run": &m.Run, "actor": &m.Actor, "role": &m.Role,
		"title": &m.Title, "content": &m.Content, "source": &m.Source, "sourceref": &m.SourceRef, "writer": &m.Writer, "expiredby": &m.ExpiredBy, "finding": &m.Finding, "legalhold": &m.Hold} {
		*field = "zq" + name
		texts = append(texts, *field)
	}
	m.Tags, m.Category = []string{"zqtag"}, []string{"zqcategory"}
	return m, append(texts, "zqtag", "zqcategory", "zqmetakey", "zqmetavalue", "zqlist", "zqelement")
}

// TestNothingOnDiskIsReadable stores a text of its own in every field, changes and deletes some, and looks
// for all of them, as they are and as terms, in every byte of every file: while the store is open, after it
// was closed, and in a backup.
func TestNothingOnDiskIsReadable(t *testing.T) {
	for _, kind := range []string{"encrypted", "plain"} {
		t.Run(kind, func(t *testing.T) {
			dir, temp := t.TempDir(), t.TempDir()
			t.Setenv("TMPDIR", temp)
			t.Setenv("SQLITE_TMPDIR", temp)
			keys := keyring(t, dir)
			if kind == "plain" {
				keys = nil
			}
			s := openWith(t, dir, 8, keys)
			m, texts := canary()
			w := memory.Write{By: "zqby", At: by.At, Once: &memory.Once{Key: "zqkey", Request: []byte("zqrequest"), Answer: []byte("zqanswer"), For: time.Hour}}
			if err := s.Add(ctx, "a", w, []*memory.Memory{m}); err != nil {
				t.Fatal(err)
			}
			w.Once = nil
			if err := s.EditRecords(ctx, "a", "kind", []string{"zqname"}, func(string, []byte) ([]byte, error) { return []byte("zqrecord"), nil }); err != nil {
				t.Fatal(err)
			}
			if err := s.CreateAgent(ctx, "a", w, memory.Agent{ID: "zqmade", Description: "zqdescription", Created: by.At}); err != nil {
				t.Fatal(err)
			}
			if _, err := memory.Update(ctx, s, "a", w, "1", nil, func(m *memory.Memory) error { m.Content = "zqchanged"; return nil }); err != nil {
				t.Fatal(err)
			}
			var filler []*memory.Memory
			for i := 2; i < 300; i++ { // enough for temporary files and several pages
				filler = append(filler, &memory.Memory{ID: fmt.Sprint(i), Agent: "bot", Content: strings.Repeat("zqfiller ", 200), Created: by.At, Updated: by.At})
			}
			if err := s.Add(ctx, "a", by, filler); err != nil {
				t.Fatal(err)
			}
			if n := finds(t, s, "a", "zqchanged zqquery"); n != 1 {
				t.Fatalf("found %d", n)
			}
			if _, err := s.Delete(ctx, "a", w, memory.Eq(memory.FieldID, "2")); err != nil {
				t.Fatal(err)
			}
			backup := filepath.Join(t.TempDir(), "backup.db")
			if err := s.Backup(ctx, "a", backup); err != nil {
				t.Fatal(err)
			}
			open := onDisk(t, dir, temp, filepath.Dir(backup))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			disk := append(open, onDisk(t, dir, temp)...)
			texts = append(texts, "zqby", "zqanswer", "zqmade", "zqdescription", "zqchanged", "zqfiller", "zqkey", "zqquery", "zqname", "zqrecord")
			if kind == "plain" {
				if missing := !bytes.Contains(disk, []byte("zqcontent")) || !bytes.Contains(disk, []byte("zqchang\x00")) && !bytes.Contains(disk, []byte("zqchanged")); missing {
					t.Fatal("the test cannot see what is there")
				}
				return
			}
			lower := bytes.ToLower(disk)
			for _, text := range texts {
				for _, form := range []string{text, hex.EncodeToString([]byte(text))} {
					if at := bytes.Index(lower, []byte(form)); at >= 0 {
						t.Errorf("%q is on the disk: …%q…", form, disk[max(0, at-40):at+20])
					}
				}
			}
		})
	}
}

// TestSealedRanksAsPlain asks an encrypted and a plain store the same: the hits must be the same, in the
// same order, with the same scores.
func TestSealedRanksAsPlain(t *testing.T) {
	sealed, open := openDir(t, t.TempDir(), 8), openWith(t, t.TempDir(), 8, nil)
	say := corpus.Sentences(5)
	var batch []*memory.Memory
	for i := 0; i < storetest.Size(3000); i++ {
		batch = append(batch, &memory.Memory{ID: fmt.Sprint(i), Agent: fmt.Sprint("agent", i%3), User: fmt.Sprint("user", i%50), Content: say(5 + i%40),
			Tags: []string{fmt.Sprint("tag", i%7)}, Type: "fact", Created: by.At.Add(time.Duration(i) * time.Hour)})
	}
	for _, s := range []*sqlite.Store{sealed, open} {
		if err := s.Add(ctx, "a", by, batch); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(ctx, "a", by, memory.Eq(memory.FieldTags, "tag3")); err != nil {
			t.Fatal(err)
		}
	}
	filters := []memory.Filter{nil, memory.Eq(memory.FieldAgent, "agent1"), memory.Eq(memory.FieldUser, "user7"),
		memory.Not{Filter: memory.Eq(memory.FieldTags, "tag5")}, memory.Cond{Field: memory.FieldUser, Op: memory.OpIContains, Values: []any{"USER1"}}}
	for i := 0; i < storetest.Size(300); i++ {
		q := memory.SearchQuery{Text: say(1 + i%9), Filter: filters[i%len(filters)], Limit: 1 + i%40}
		a, errA := sealed.Search(ctx, "a", q)
		b, errB := open.Search(ctx, "a", q)
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v: %d and %d hits, %v, %v", q, len(a), len(b), errA, errB)
		}
	}
}

// TestPlainFilesAreSealed opens files that were written before texts were sealed.
func TestPlainFilesAreSealed(t *testing.T) {
	dir := t.TempDir()
	db := raw(t, dir, "a")
	if _, err := db.Exec(sqlite.Schema1 + `
		INSERT INTO tenant VALUES ('a');
		INSERT INTO agents VALUES ('bot', 'tool', 'zqdescription', 5);
		INSERT INTO postings VALUES ('zqold', 1, x'010101');
		INSERT INTO memories (seq, id, tenant, agent, user, app, run, actor, role, title, content, type, tags, categories, metadata, confidence, status,
			source, source_ref, provenance, writer, created, updated, expired_at, expired_by, expires) VALUES
			(7, 'm1', 'a', 'bot', 'zquser', '', '', 'bot', '', 'zqtitle', 'zqcontent words', 'fact', '["zqtag"]', '[]', '{"k":"zqvalue"}', 0.8, 'active',
			'agent', '', 'observed', 'zqwriter', 1000000, 2000000, 0, '', 0);
		INSERT INTO changes (id, memory, agent, user, event, old, old_metadata, writer, at) VALUES
			('c1', 'm1', 'bot', 'zquser', 'ADD', NULL, NULL, 'zqwriter', 1000000),
			('c2', 'm1', 'bot', 'zquser', 'UPDATE', 'zqbefore', '{}', 'zqwriter', 2000000);` +
		fmt.Sprintf("PRAGMA user_version = 1; PRAGMA application_id = %d", sqlite.ApplicationID)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openDir(t, dir, 8)
	want := &memory.Memory{ID: "m1", Version: 1, Seq: 7, Agent: "bot", User: "zquser", Actor: "bot", Title: "zqtitle", Content: "zqcontent words", Type: "fact",
		Tags: []string{"zqtag"}, Metadata: json.RawMessage(`{"k":"zqvalue"}`), Confidence: 0.8, Status: "active", Source: "agent", Provenance: "observed",
		Writer: "zqwriter", Created: time.Unix(1, 0).UTC(), Updated: time.Unix(2, 0).UTC()}
	hits, err := s.Search(ctx, "a", memory.SearchQuery{Text: "words", Limit: 5, Filter: memory.And{memory.Eq(memory.FieldTags, "zqtag"),
		memory.Cond{Field: memory.FieldMetadata, Key: "k", Op: memory.OpEq, Values: []any{"zqvalue"}}}})
	if err != nil || len(hits) != 1 || !reflect.DeepEqual(hits[0].Memory, want) {
		t.Fatalf("%+v, %v", hits, err)
	}
	changes, err := s.History(ctx, "a", "m1", "bot")
	if err != nil || len(changes) != 2 || changes[0].New != "zqbefore" || changes[1].User != "zquser" || changes[1].Writer != "zqwriter" {
		t.Errorf("%+v, %v", changes, err)
	}
	if a, err := s.Agent(ctx, "a", "bot", true); err != nil || a.Description != "zqdescription" || a.Memories != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	put(t, s, "a", "m2", "words")
	if m, err := s.Get(ctx, "a", "m2", nil); err != nil || m.Seq != 8 {
		t.Errorf("%+v, %v", m, err)
	}
	disk := onDisk(t, dir)
	for _, text := range []string{"zquser", "zqtitle", "zqcontent", "zqtag", "zqvalue", "zqwriter", "zqbefore", "zqdescription", "zqold"} {
		if bytes.Contains(disk, []byte(text)) {
			t.Errorf("%q is left", text)
		}
	}
}

func TestKeysOfFiles(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "words")
	put(t, s, "a", "2", "words")
	put(t, s, "b", "1", "words")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	key := func(tenant string) string {
		return filepath.Join(dir, "keys", strings.TrimSuffix(sqlite.FileName(tenant), ".db")+".keys")
	}
	try := func(name string, s *sqlite.Store, want error) {
		t.Helper()
		if _, err := s.Get(ctx, "a", "1", nil); !errors.Is(err, want) {
			t.Errorf("%s: reading: %v", name, err)
		}
		if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: "new"}}); !errors.Is(err, want) {
			t.Errorf("%s: writing: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	try("no keys given", openWith(t, dir, 8, nil), sqlite.ErrSealedFile)
	kept, err := os.ReadFile(key("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key("a")); err != nil {
		t.Fatal(err)
	}
	try("keys gone", openDir(t, dir, 8), memory.ErrCorrupt)
	if _, err := os.Stat(key("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("new keys were made for old data")
	}
	for name, content := range map[string][]byte{"damaged": bytes.Replace(kept, []byte(`"wrapped": "`), []byte(`"wrapped": "AAAA`), 1),
		"empty": nil, "no JSON": []byte("x"), "zeros": make([]byte, len(kept))} {
		if err := os.WriteFile(key("a"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		try(name, openDir(t, dir, 8), memory.ErrCorrupt)
	}
	other, err := os.ReadFile(key("b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key("a"), other, 0o600); err != nil {
		t.Fatal(err)
	}
	try("another tenant's keys", openDir(t, dir, 8), memory.ErrCorrupt)
	if err := os.WriteFile(key("a"), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	// A sealed value opens in its own place only.
	db := raw(t, dir, "a")
	if _, err := db.Exec(`UPDATE memories SET content = (SELECT content FROM memories WHERE id = '2') WHERE id = '1'`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s = openDir(t, dir, 8)
	if _, err := s.Get(ctx, "a", "1", nil); !errors.Is(err, memory.ErrCorrupt) {
		t.Errorf("a moved value: %v", err)
	}
	if _, err := s.Get(ctx, "a", "2", nil); err != nil {
		t.Error(err)
	}
}

func TestDropSurvivesInterruption(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "words")
	// As a crash between the two steps leaves it: the keys are gone, the data is not.
	if ids, err := keyring(t, dir).Destroy("a"); err != nil || len(ids) != 1 {
		t.Fatalf("%v, %v", ids, err)
	}
	if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: "2"}}); !errors.Is(err, memory.ErrCorrupt) {
		t.Errorf("writing without keys: %v", err)
	}
	if _, err := s.DropTenant(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if files := databases(t, dir); len(files) != 0 {
		t.Error(files)
	}
	other := openDir(t, dir, 8) // as another process has it
	put(t, s, "a", "1", "words")
	if _, err := s.DropTenant(ctx, "a"); !errors.Is(err, memory.ErrBusy) {
		t.Errorf("with the directory open elsewhere: %v", err)
	}
	if n := finds(t, s, "a", "words"); n != 1 {
		t.Errorf("found %d", n)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err := s.DropTenant(ctx, "a"); err != nil || d.Memories != 1 || len(d.Keys) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestOnlyResultsAreOpened damages memories that match a query and do not come back: a search that opened them would fail.
func TestOnlyResultsAreOpened(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	for _, id := range []string{"1", "2", "3"} {
		put(t, s, "a", id, "words")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, dir, "a")
	if _, err := db.Exec(`UPDATE memories SET content = (SELECT content FROM memories WHERE id = '3') WHERE id <> '3'`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s = openDir(t, dir, 8)
	for _, f := range []memory.Filter{nil, memory.Eq(memory.FieldAgent, "bot")} {
		if hits, err := s.Search(ctx, "a", memory.SearchQuery{Text: "words", Filter: f, Limit: 1}); err != nil || len(hits) != 1 || hits[0].Memory.ID != "3" {
			t.Errorf("%v, %v", hits, err)
		}
		if _, err := s.Search(ctx, "a", memory.SearchQuery{Text: "words", Filter: f, Limit: 2}); !errors.Is(err, memory.ErrCorrupt) {
			t.Errorf("what was damaged came back: %v", err)
		}
	}
}

// TestKeysAreDestroyedFirst lets the removal of a tenant's files fail: its keys are gone by then, and dropping it again ends it.
func TestKeysAreDestroyedFirst(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "words")
	inTheWay := filepath.Join(dir, sqlite.FileName("a")+"-journal")
	if err := os.MkdirAll(filepath.Join(inTheWay, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DropTenant(ctx, "a"); err == nil {
		t.Fatal("the files are said to be gone")
	}
	if _, err := os.Stat(filepath.Join(dir, sqlite.FileName("a"))); err != nil {
		t.Errorf("the file is not left: %v", err)
	}
	if keys, err := filepath.Glob(filepath.Join(dir, "keys", "*.keys")); err != nil || len(keys) != 0 {
		t.Errorf("keys are left: %v, %v", keys, err)
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DropTenant(ctx, "a"); err != nil {
		t.Error(err)
	}
	if files := databases(t, dir); len(files) != 0 {
		t.Error(files)
	}
}
