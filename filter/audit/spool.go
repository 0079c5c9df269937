package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/memgate/memgate/filter/ownerfile"
)

// SpoolSuffix is what the name of a log's spool has behind that of the log.
const SpoolSuffix = ".actions"

const (
	spooled    = ".json"    // the name of an action that waits ends so
	unreadable = ".refused" // and of one that is none so
	maxSpooled = 10_000
)

// ErrSpool is that too many actions wait already: no process writes the log.
var ErrSpool = errors.New("audit: 10000 actions wait to be written already; a running memgate with this log writes them")

// Spool is a folder beside a log, in which commands leave what they did for the one process
// that writes the log. Each action is a file that nobody but its owner may read, written
// whole or not at all. It is for one goroutine.
type Spool struct {
	path    string // of the log
	fresh   bool   // nothing was taken yet: what waits may be in the log
	pending map[string]*Action
}

// NewSpool returns the spool of the log at path. Nothing is made before it is used.
func NewSpool(path string) *Spool {
	return &Spool{path: path, fresh: true, pending: make(map[string]*Action)}
}

func (s *Spool) folder() string { return s.path + SpoolSuffix }

// Ready says whether an action could be put, by doing all of it but that.
func (s *Spool) Ready() error {
	if err := os.MkdirAll(s.folder(), 0o700); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	waiting, err := s.names()
	if err != nil {
		return err
	}
	if len(waiting) >= maxSpooled {
		return ErrSpool
	}
	f, err := os.CreateTemp(s.folder(), ".ready-*")
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	_, err = f.Write(make([]byte, maxAction))
	if err := errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Put leaves an action for the process that writes the log.
func (s *Spool) Put(a *Action) error {
	if !a.valid() {
		return errAction
	}
	if err := s.Ready(); err != nil {
		return err
	}
	b, err := json.Marshal(a)
	if err != nil || len(b) > maxAction {
		return errors.Join(errAction, err)
	}
	name := fmt.Sprintf("%020d-%s%s", a.Time.UnixNano(), a.UID, spooled)
	if err := ownerfile.Create(filepath.Join(s.folder(), name), b); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// names lists the actions that wait, oldest first.
func (s *Spool) names() ([]string, error) {
	entries, err := os.ReadDir(s.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), spooled) && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Take writes what waits to the log and takes it out of the spool when it is there. Each
// action comes to be in the log once: after a crash between the two the log is searched for
// it. What is no action is set aside, and is part of the error.
func (s *Spool) Take(w *Writer) (taken int, err error) {
	names, err := s.names()
	if err != nil || len(names) == 0 {
		s.fresh = s.fresh && err != nil
		return 0, err
	}
	var failed []error
	var logged map[string]bool
	if s.fresh {
		if logged, err = s.logged(); err != nil {
			return 0, err
		}
	}
	var wrote []string
	for _, name := range names {
		file := filepath.Join(s.folder(), name)
		if s.pending[name] == nil {
			a, err := readAction(file)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", file, err))
				if errors.Is(err, errAction) {
					failed = append(failed, os.Rename(file, file+unreadable))
				}
				continue
			}
			if !logged[a.UID] {
				if err := w.WriteAction(a); err != nil {
					return 0, errors.Join(append(failed, err)...)
				}
			}
			s.pending[name] = a
		}
		wrote = append(wrote, file)
	}
	s.fresh = false
	if err := w.Flush(); err != nil {
		return 0, errors.Join(append(failed, err)...)
	}
	for _, file := range wrote {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
			continue
		}
		delete(s.pending, filepath.Base(file))
		taken++
	}
	return taken, errors.Join(failed...)
}

func readAction(file string) (*Action, error) {
	b, err := ownerfile.Read(file, maxAction)
	if err != nil {
		return nil, err
	}
	return parseAction(b)
}

// logged returns the actions that are in the log.
func (s *Spool) logged() (map[string]bool, error) {
	logs, _, err := Files(s.path)
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	_, err = Query(logs, Filter{Actions: true}, func(_ []byte, r *Record) error {
		found[r.ActionUID] = true
		return nil
	})
	return found, err
}
