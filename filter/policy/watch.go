package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// ErrUnchanged is what [Watch] reports when the file was written or a reload
// was asked for, and the file has the content that was reported last.
var ErrUnchanged = errors.New("the policy file has not changed")

// An editor writes, renames and removes within milliseconds. The file is read
// when its folder was quiet for settle, and at the latest after settleMax.
const (
	settle    = 50 * time.Millisecond
	settleMax = 500 * time.Millisecond
)

// Watch follows the policy file at path until ctx ends, and calls onChange, from
// one goroutine, with what [Load] returns for each new content. A file that is
// broken or gone is reported as an error; the caller keeps the policy it has.
//
// current is the policy that is in force, which tells whether the file changed
// before it was watched; it may be nil. A value from reload (a SIGHUP, say)
// reads the file at once. When that, or a write, brings no new content, onChange
// gets [ErrUnchanged]. reload may be nil.
//
// The folders of the file and of what it links to are watched, not the file, so
// that editors that rename and Kubernetes' swap of a symbolic link are seen.
// The error is about the watch itself; when ctx ends it is nil.
func Watch(ctx context.Context, path string, current *Policy, reload <-chan struct{}, onChange func(*Policy, []Finding, error)) error {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer fs.Close()
	w := &watch{path: path, fs: fs, onChange: onChange}
	if current != nil {
		w.last = current.digest
	}
	if err := fs.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	w.follow()
	w.load(current == nil)
	return w.run(ctx, reload)
}

// watch is the state of one [Watch].
type watch struct {
	path     string
	fs       *fsnotify.Watcher
	onChange func(*Policy, []Finding, error)
	last     string // digest of the content that was reported last
	target   string // what path links to
}

func (w *watch) run(ctx context.Context, reload <-chan struct{}) error {
	var quiet, latest <-chan time.Time // nil while nothing has happened
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-reload:
			if !ok {
				reload = nil
				continue
			}
			quiet, latest = nil, nil
			w.load(true)
		case <-quiet:
			quiet, latest = nil, nil
			w.load(true)
		case <-latest:
			quiet, latest = nil, nil
			w.load(true)
		case event, ok := <-w.fs.Events:
			if !ok {
				return fmt.Errorf("watch %s: the watch ended", w.path)
			}
			if !w.concerns(event) {
				continue
			}
			quiet = time.After(settle)
			if latest == nil {
				latest = time.After(settleMax)
			}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return fmt.Errorf("watch %s: the watch ended", w.path)
			}
			// Events were lost, so the file may have changed.
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				w.load(false)
			}
		}
	}
}

// concerns reports whether an event may have changed the content: one of the
// file itself, or one that moved what it links to. Writes to other files of the
// folder, such as the audit log, cost no system call.
func (w *watch) concerns(event fsnotify.Event) bool {
	name := filepath.Clean(event.Name)
	if name == filepath.Clean(w.path) || name == w.target {
		return event.Op != fsnotify.Chmod || w.last == "" // it may be readable now
	}
	if !event.Has(fsnotify.Create) && !event.Has(fsnotify.Rename) && !event.Has(fsnotify.Remove) {
		return false
	}
	return w.follow()
}

// follow watches the folder of what the file links to, and reports whether the
// link leads elsewhere than before.
func (w *watch) follow() bool {
	target, err := filepath.EvalSymlinks(w.path)
	if err != nil || target == w.target {
		return false
	}
	if old := filepath.Dir(w.target); w.target != "" && old != filepath.Dir(w.path) && old != filepath.Dir(target) {
		_ = w.fs.Remove(old) // gone by itself when the folder is
	}
	w.target = target
	if dir := filepath.Dir(target); dir != filepath.Dir(w.path) {
		_ = w.fs.Add(dir) // without it, changes of the link are still seen
	}
	return true
}

// load reads the file and reports what is new. Content that is not new is
// reported only when asked for.
func (w *watch) load(always bool) {
	w.follow()
	data, err := readFile(w.path)
	if err != nil {
		if always || w.last != "" {
			w.onChange(nil, nil, err)
		}
		w.last = ""
		return
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	if digest == w.last {
		if always {
			w.onChange(nil, nil, ErrUnchanged)
		}
		return
	}
	w.last = digest
	w.onChange(Parse(data, w.path, filepath.Dir(w.path)))
}
