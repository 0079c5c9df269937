package state_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/state"
)

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	text, open, foreign := filepath.Join(dir, "text"), filepath.Join(dir, "open"), filepath.Join(dir, "foreign")
	if err := os.WriteFile(text, []byte("this is not a database, but long enough to be one, were it one"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = openFile(t, open).Close()
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE t (x); PRAGMA user_version = 1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Close(), os.Chmod(foreign, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{text: state.ErrForeign, open: state.ErrOpen, foreign: state.ErrForeign, dir: nil} {
		f, err := state.OpenFile(path, time.Now)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err == nil {
			_ = f.Close()
		}
	}
}

// A state file that is taken away under a running process is opened anew. What
// was revoked is written back; its sessions are gone.
func TestFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first := openFile(t, path)
	i, ctx := start(t, first), patient(t)
	token := activate(t, i, jane())
	p := jane()
	p.Subject, p.ID = "john", "jti-2"
	ofJohn := activate(t, i, p)
	if err := first.Add(ctx, revocation.Entry{Kind: revocation.KindToken, Issuer: p.Issuer, ID: p.ID}); err != nil {
		t.Fatal(err)
	}
	eventually(t, i, ofJohn, identity.ReasonTokenRevoked)
	if got := why(t, i, token); got != "" {
		t.Fatal(got)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+end, path+".old"+end); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, i, token, identity.ReasonSessionUnknown)
	harness.Eventually(t, func() error {
		page, err := openFile(t, path).Read(ctx, "", 0)
		if err == nil && (len(page.Entries) != 1 || page.Entries[0].ID != p.ID) {
			err = errors.New("what was revoked is not there")
		}
		return err
	})
	again := activate(t, i, jane())
	if got := why(t, start(t, openFile(t, path)), again); got != "" {
		t.Errorf("a session in the new file: %q", got)
	}
}
