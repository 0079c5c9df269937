package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
	"github.com/memgate/memgate/memory-backend/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) memory.Store { return openDir(t, t.TempDir(), 64) })
}

// TestConformancePlain runs the suite without encryption: sealed and plain files must not differ in what
// they do.
func TestConformancePlain(t *testing.T) {
	storetest.Run(t, func(t *testing.T) memory.Store { return openWith(t, t.TempDir(), 64, nil) })
}

// TestConformanceWithOneFile runs the suite with a single file open at a time, so that every change of
// tenant closes and opens one.
func TestConformanceWithOneFile(t *testing.T) {
	storetest.Run(t, func(t *testing.T) memory.Store { return openDir(t, t.TempDir(), 1) })
}

func openDir(t *testing.T, dir string, files int) *sqlite.Store {
	t.Helper()
	return openWith(t, dir, files, keyring(t, dir))
}

// keyring has the wrapped keys of a data directory in it, and the master key of all tests.
func keyring(t testing.TB, dir string) *crypt.Keyring {
	t.Helper()
	master, err := crypt.OpenFile(masterKey, true)
	if err != nil {
		t.Fatal(err)
	}
	k, err := crypt.OpenKeyring(crypt.Config{Dir: filepath.Join(dir, "keys"), Masters: []crypt.Master{master}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var masterKey string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "master-*")
	if err != nil {
		panic(err)
	}
	masterKey = filepath.Join(dir, "master.json")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// openWith opens a store with these keys; nil: without encryption.
func openWith(t testing.TB, dir string, files int, keys *crypt.Keyring) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(sqlite.Config{Dir: dir, MaxOpen: files, Busy: 50 * time.Millisecond, Now: time.Now, Random: rand.Reader, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// databases returns the names of the files of tenants in a directory.
func databases(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var (
	ctx = context.Background()
	by  = memory.Write{By: "w", At: time.Unix(1, 0)}
)

func put(t *testing.T, s memory.Store, tenant, id, content string) {
	t.Helper()
	if err := s.Add(ctx, tenant, by, []*memory.Memory{{ID: id, Agent: "bot", Content: content, Created: by.At, Updated: by.At}}); err != nil {
		t.Fatal(err)
	}
}

func finds(t *testing.T, s memory.Store, tenant, text string) int {
	t.Helper()
	hits, err := s.Search(ctx, tenant, memory.SearchQuery{Text: text, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(hits)
}

func TestFilesAreTheirOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := openDir(t, dir, 8)
	for _, tenant := range []string{"a", "../../etc/passwd", "b/../c", strings.Repeat("long", 1000), "nul\x00"} {
		put(t, s, tenant, "1", "x")
	}
	modes := 0
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", d.Name(), info.Mode().Perm(), want)
		}
		modes++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if modes != 3+5*4 { // two directories and a lock, and for each tenant a file, its log, the log's index and its keys
		t.Errorf("%d files and directories", modes)
	}
	outside, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(outside) != 1 {
		t.Errorf("beside the directory: %v, %v", outside, err)
	}
}

func TestFileNames(t *testing.T) {
	seen := map[string]string{}
	for _, tenant := range []string{"", "a", "A", "a ", "../x", "a\x00", "ä", "a\u0308"} {
		name := sqlite.FileName(tenant)
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q share %s", tenant, other, name)
		}
		seen[name] = tenant
		if strings.Trim(strings.TrimSuffix(name, ".db"), "abcdefghijklmnopqrstuvwxyz234567") != "" || len(name) != 55 {
			t.Errorf("%q is kept in %q", tenant, name)
		}
	}
}

func TestReopened(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "kept words")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: "2"}}); err == nil {
		t.Error("a closed store took a memory")
	}
	if err := s.Ready(ctx); err == nil {
		t.Error("a closed store is ready")
	}
	s = openDir(t, dir, 8)
	put(t, s, "a", "2", "more words")
	if n := finds(t, s, "a", "words"); n != 2 {
		t.Errorf("found %d", n)
	}
}

// TestAcknowledgedIsDurable copies the files of a running store, as a crash would leave them, after every
// acknowledged write, and looks for it in the copy.
func TestAcknowledgedIsDurable(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	for i := 1; i <= 5; i++ {
		put(t, s, "a", fmt.Sprint(i), fmt.Sprintf("word%d common", i))
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		c := openDir(t, copied, 8)
		if n, last := finds(t, c, "a", "common"), finds(t, c, "a", fmt.Sprintf("word%d", i)); n != i || last != 1 {
			t.Errorf("after write %d: %d found, the last %d times", i, n, last)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornWrite cuts the log of a crashed store at many places: what is left is a prefix of the writes,
// and the index agrees with the memories.
func TestTornWrite(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	for i := 1; i <= 8; i++ {
		put(t, s, "a", fmt.Sprint(i), "common words")
	}
	name := sqlite.FileName("a")
	wal, err := os.ReadFile(filepath.Join(dir, name+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	main, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	before := 0
	for cut := 0; cut <= len(wal); cut += len(wal)/23 + 1 {
		copied := t.TempDir()
		if err := os.CopyFS(filepath.Join(copied, "keys"), os.DirFS(filepath.Join(dir, "keys"))); err != nil {
			t.Fatal(err)
		}
		for n, data := range map[string][]byte{name: main, name + "-wal": wal[:cut]} {
			if err := os.WriteFile(filepath.Join(copied, n), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := openDir(t, copied, 8)
		list, total, err := c.List(ctx, "a", memory.ListQuery{Limit: 100, Total: true, Order: memory.OldestFirst})
		if err != nil {
			t.Fatal(err)
		}
		if n := finds(t, c, "a", "common"); n != total || total < before {
			t.Errorf("cut at %d: %d memories, %d found, %d before", cut, total, n, before)
		}
		for i, m := range list {
			if m.ID != fmt.Sprint(i+1) {
				t.Errorf("cut at %d: memory %d is %s", cut, i, m.ID)
			}
		}
		before = total
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	s := openDir(t, t.TempDir(), 3)
	var wg sync.WaitGroup
	for i := 0; i < 40; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			tenant := fmt.Sprint("tenant", i%20)
			put(t, s, tenant, fmt.Sprint(i), "words")
			if n := s.OpenFiles(); n > 3 {
				t.Errorf("%d files are open", n)
			}
			if finds(t, s, tenant, "words") == 0 {
				t.Errorf("%s lost its memory", tenant)
			}
		}()
	}
	wg.Wait()
	for i := 0; i < 20; i++ {
		if n := finds(t, s, fmt.Sprint("tenant", i), "words"); n != 2 {
			t.Errorf("tenant%d has %d", i, n)
		}
	}
}

func TestReadingMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	finds(t, s, "nobody", "x")
	if _, err := s.Delete(ctx, "nobody", by, nil); err != nil {
		t.Error(err)
	}
	if files := databases(t, dir); len(files) != 0 {
		t.Error(files)
	}
}

// raw opens a tenant's file behind the store's back.
func raw(t *testing.T, dir, tenant string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName(tenant)))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestFilesThatAreNotOurs(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  error
	}{
		"newer": {func(t *testing.T, dir string) {
			if _, err := raw(t, dir, "a").Exec(`PRAGMA user_version = 99`); err != nil {
				t.Fatal(err)
			}
		}, sqlite.ErrNewerFile},
		"another program's": {func(t *testing.T, dir string) {
			if _, err := raw(t, dir, "a").Exec(`PRAGMA application_id = 5`); err != nil {
				t.Fatal(err)
			}
		}, sqlite.ErrForeignFile},
		"another tenant's": {func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, sqlite.FileName("b")), filepath.Join(dir, sqlite.FileName("a"))); err != nil {
				t.Fatal(err)
			}
		}, sqlite.ErrForeignFile},
		"other tables": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, sqlite.FileName("a"))); err != nil {
				t.Fatal(err)
			}
			if _, err := raw(t, dir, "a").Exec(`CREATE TABLE x (y)`); err != nil {
				t.Fatal(err)
			}
		}, sqlite.ErrForeignFile},
		"a row of another tenant": {func(t *testing.T, dir string) {
			if _, err := raw(t, dir, "a").Exec(`UPDATE memories SET tenant = 'b'`); err != nil {
				t.Fatal(err)
			}
		}, sqlite.ErrForeignFile},
		"a directory": {func(t *testing.T, dir string) {
			name := filepath.Join(dir, sqlite.FileName("a"))
			if err := errors.Join(os.Remove(name), os.Mkdir(name, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, nil},
		"garbage": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, sqlite.FileName("a")), bytes.Repeat([]byte("garbage!"), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openDir(t, dir, 8)
			put(t, s, "a", "1", "words")
			put(t, s, "b", "1", "words of b")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			s = openDir(t, dir, 8)
			_, err := s.Get(ctx, "a", "1", nil)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, err := s.Search(ctx, "a", memory.SearchQuery{Text: "words", Limit: 1}); err == nil {
				t.Error("searched")
			}
			if name != "another tenant's" {
				if n := finds(t, s, "b", "words"); n != 1 {
					t.Errorf("the other tenant has %d", n)
				}
			}
		})
	}
}

func TestAnalysisOfAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	var all []*memory.Memory
	for i := 0; i < 600; i++ {
		all = append(all, &memory.Memory{ID: fmt.Sprint(i), Agent: "bot", Content: fmt.Sprintf("words number%d", i), Created: by.At, Updated: by.At})
	}
	if err := s.Add(ctx, "a", by, all); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, dir, "a")
	if _, err := db.Exec(`DELETE FROM postings; UPDATE stats SET analysis = 0, docs = 7, terms = 7`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s = openDir(t, dir, 8)
	if n, one := finds(t, s, "a", "words"), finds(t, s, "a", "number599"); n != 600 || one != 1 {
		t.Errorf("found %d and %d", n, one)
	}
	if _, err := s.Delete(ctx, "a", by, nil); err != nil {
		t.Fatal(err)
	}
	var docs, terms, postings int
	if err := raw(t, dir, "a").QueryRow(`SELECT docs, terms, (SELECT count(*) FROM postings) FROM stats`).Scan(&docs, &terms, &postings); err != nil || docs+terms+postings != 0 {
		t.Errorf("%d documents, %d terms, %d blocks left, %v", docs, terms, postings, err)
	}
}

func TestLockedByAnother(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "words")
	tx, err := raw(t, dir, "a").Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`DELETE FROM agents`); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: "2", Content: "words"}}); !errors.Is(err, memory.ErrBusy) {
		t.Errorf("error %v", err)
	}
	if n := finds(t, s, "a", "words"); n != 1 { // reading goes on
		t.Errorf("found %d", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "2", "words")
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir, 8)
	put(t, s, "a", "1", "words")
	if err := s.LimitPages("a", 40); err != nil {
		t.Fatal(err)
	}
	stored := 1
	for i := 2; ; i++ {
		err := s.Add(ctx, "a", by, []*memory.Memory{{ID: fmt.Sprint(i), Content: strings.Repeat("words ", 100)}})
		if errors.Is(err, memory.ErrFull) {
			break
		}
		if err != nil || i > 1000 {
			t.Fatalf("write %d: %v", i, err)
		}
		stored++
	}
	if n := finds(t, s, "a", "words"); n != stored {
		t.Errorf("%d stored, %d found", stored, n)
	}
	if err := s.DeleteIDs(ctx, "a", by, []string{"1"}, nil); err != nil && !errors.Is(err, memory.ErrFull) {
		t.Errorf("deleting: %v", err)
	}
}

func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openDir(t, dir, 8)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(ctx); err == nil {
		t.Error("ready")
	}
	if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: "1"}}); err == nil {
		t.Error("stored")
	}
	if s.OpenFiles() != 0 {
		t.Error("a file that could not be opened counts as open")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below"), ""} {
		if _, err := sqlite.Open(sqlite.Config{Dir: bad, Now: time.Now, Random: rand.Reader}); err == nil {
			t.Errorf("opened %q", bad)
		}
	}
}

// TestDeletedTextIsGone looks for deleted text in every byte on the disk.
func TestDeletedTextIsGone(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, dir, 8, nil) // without encryption, so that there is something to see
	put(t, s, "a", "1", "canaryword one")
	put(t, s, "a", "2", "other words")
	if _, err := memory.Update(ctx, s, "a", by, "1", nil, func(m *memory.Memory) error { m.Content = "canarychanged two"; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteIDs(ctx, "a", by, []string{"1"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // the log goes with the last connection
		t.Fatal(err)
	}
	files := databases(t, dir)
	if len(files) != 1 {
		t.Fatal(files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"canaryword", "canarychang"} {
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%q is still in the file", canary)
		}
	}
	if !bytes.Contains(data, []byte("other words")) {
		t.Error("the test cannot see what is there")
	}
}

// FuzzSearch runs any text as a query.
func FuzzSearch(f *testing.F) {
	for _, q := range []string{"words", `"`, `words* OR NEAR(a b)`, `'; DROP TABLE memories; --`, "日本語", "\x00", "\xff", strings.Repeat("x ", 500)} {
		f.Add(q)
	}
	s := openFuzz(f)
	f.Fuzz(func(t *testing.T, query string) {
		hits, err := s.Search(ctx, "a", memory.SearchQuery{Text: query, Limit: 10})
		if err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		for _, h := range hits {
			if h.Score <= 0 || h.Score > 1 {
				t.Fatalf("%q: score %v", query, h.Score)
			}
		}
	})
}

func openFuzz(f *testing.F) *sqlite.Store {
	s, err := sqlite.Open(sqlite.Config{Dir: f.TempDir(), Now: time.Now, Random: rand.Reader, Keys: keyring(f, f.TempDir())})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	for i, text := range []string{"plain words", "日本語です", "quotes \" ' and * stars"} {
		if err := s.Add(ctx, "a", by, []*memory.Memory{{ID: fmt.Sprint(i), Content: text, Created: by.At}}); err != nil {
			f.Fatal(err)
		}
	}
	return s
}
