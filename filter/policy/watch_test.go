package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// change is one call of onChange.
type change struct {
	p   *Policy
	err error
}

// watching starts Watch and returns the changes it reports. The watch has ended,
// without an error, when the test has.
func watching(t *testing.T, path string, current *Policy, reload <-chan struct{}) <-chan change {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan change, 100)
	done := make(chan error, 1)
	go func() {
		done <- Watch(ctx, path, current, reload, func(p *Policy, _ []Finding, err error) { changes <- change{p, err} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return changes
}

// next is the next change that is not ErrUnchanged: a write may be seen in two
// parts.
func next(t *testing.T, changes <-chan change) change {
	t.Helper()
	for {
		select {
		case c := <-changes:
			if !errors.Is(c.err, ErrUnchanged) {
				return c
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no change was seen")
		}
	}
}

func text(audience string) string {
	return fmt.Sprintf("version: 1\nupstream: { address: \"a:1\", audience: %s }\n", audience)
}

// put writes a file as editors do: beside it, then renamed.
func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+"~", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func wantAudience(t *testing.T, c change, want string) {
	t.Helper()
	if c.err != nil || c.p == nil || c.p.Upstream.Audience != want {
		t.Fatalf("%+v, want audience %s", c, want)
	}
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memgate.yaml")
	put(t, path, text("one"))
	current, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, text("two")) // before the watch begins
	reload := make(chan struct{})
	changes := watching(t, path, current, reload)
	wantAudience(t, next(t, changes), "two")

	put(t, path, text("three"))
	wantAudience(t, next(t, changes), "three")

	if err := os.WriteFile(path, []byte(text("four")), 0o600); err != nil { // in place
		t.Fatal(err)
	}
	c := next(t, changes)
	for c.err != nil { // the file was seen between truncation and write
		c = next(t, changes)
	}
	wantAudience(t, c, "four")

	put(t, path, "version: 2\n")
	if c := next(t, changes); c.p != nil || len(Findings(c.err)) == 0 || !strings.Contains(c.err.Error(), "memgate.yaml:1:10: ") {
		t.Fatalf("broken file: %+v", c)
	}
	put(t, path, text("four"))
	wantAudience(t, next(t, changes), "four") // the broken one is over

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if c := next(t, changes); c.p != nil || Findings(c.err)[0].Rule != "file" {
		t.Fatalf("file gone: %+v", c)
	}
	put(t, path, text("five"))
	wantAudience(t, next(t, changes), "five")
}

func TestWatchReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memgate.yaml")
	put(t, path, text("one"))
	current, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	reload := make(chan struct{})
	changes := watching(t, path, current, reload)
	reload <- struct{}{}
	if c := <-changes; !errors.Is(c.err, ErrUnchanged) || c.p != nil {
		t.Fatalf("%+v, want ErrUnchanged", c)
	}
	put(t, path, text("one")) // rewritten, not changed
	if c := <-changes; !errors.Is(c.err, ErrUnchanged) || c.p != nil {
		t.Fatalf("%+v, want ErrUnchanged", c)
	}
	close(reload) // the caller has no more signals; the watch goes on
	put(t, path, text("two"))
	wantAudience(t, next(t, changes), "two")
}

func TestWatchWithoutCurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memgate.yaml")
	put(t, path, text("one"))
	wantAudience(t, next(t, watching(t, path, nil, nil)), "one")
}

// Kubernetes mounts a ConfigMap as a link to ..data/NAME, where ..data is a link
// to a folder, and swaps that link by a rename.
func TestWatchKubernetes(t *testing.T) {
	dir := t.TempDir()
	version := func(name, audience string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name, "memgate.yaml"), text(audience))
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "one")
	path := filepath.Join(dir, "memgate.yaml")
	if err := os.Symlink("..data/memgate.yaml", path); err != nil {
		t.Fatal(err)
	}
	changes := watching(t, path, nil, nil)
	wantAudience(t, next(t, changes), "one")
	for i, audience := range []string{"two", "three"} {
		version(fmt.Sprintf("..%d", i+2), audience)
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", i+1))); err != nil {
			t.Fatal(err)
		}
		wantAudience(t, next(t, changes), audience)
	}
}

// The file is a link to one in another folder, which is written there.
func TestWatchLinkToElsewhere(t *testing.T) {
	there, here := t.TempDir(), t.TempDir()
	put(t, filepath.Join(there, "real.yaml"), text("one"))
	path := filepath.Join(here, "memgate.yaml")
	if err := os.Symlink(filepath.Join(there, "real.yaml"), path); err != nil {
		t.Fatal(err)
	}
	changes := watching(t, path, nil, nil)
	wantAudience(t, next(t, changes), "one")
	put(t, filepath.Join(there, "real.yaml"), text("two"))
	wantAudience(t, next(t, changes), "two")
}

func TestWatchIgnoresOtherFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "memgate.yaml")
	put(t, path, text("one"))
	current, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	changes := watching(t, path, current, nil)
	put(t, filepath.Join(dir, "audit.log"), "line")
	if err := os.WriteFile(filepath.Join(dir, "audit.log"), []byte("more"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, path, text("two"))
	// Had the audit log been taken for the policy, ErrUnchanged would be first.
	if c := <-changes; c.err != nil || c.p.Upstream.Audience != "two" {
		t.Fatalf("%+v", c)
	}
}

func TestWatchFails(t *testing.T) {
	err := Watch(context.Background(), filepath.Join(t.TempDir(), "none", "memgate.yaml"), nil, nil, func(*Policy, []Finding, error) {
		t.Error("onChange was called")
	})
	if err == nil {
		t.Error("a folder that does not exist is watched")
	}
}
