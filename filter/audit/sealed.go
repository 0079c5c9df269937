package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// CheckpointSuffix is what the name of a checkpoint file has after that of its
// log.
const CheckpointSuffix = ".checkpoints"

// maxLine bounds a line of a log, in bytes; an event stays far below it.
const maxLine = 1 << 20

// Errors of a sealed log.
var (
	// ErrInUse: another writer has the log open.
	ErrInUse = errors.New("audit: another process writes this log")
	// ErrUnsealed: the file holds lines and there is no checkpoint, so it was
	// written by something else, or its checkpoints were taken away.
	ErrUnsealed = errors.New("audit: the log holds lines but has no checkpoints; move it away to begin a new one")
	// ErrForeign: the file that should be gone on with holds lines already.
	ErrForeign = errors.New("audit: the new log is not empty")
	// ErrTampered: what is on disk is not what was written. memgate audit verify
	// says more.
	ErrTampered = errors.New("audit: the log is not as it was written; run memgate audit verify")
	// ErrRemoved: the file was deleted, with what was in it.
	ErrRemoved = errors.New("audit: the log was deleted; a new file goes on with it")
)

// sealed is a log on disk whose lines are the leaves of a tree. One goroutine
// uses it.
type sealed struct {
	path   string
	config *Config

	file  *os.File
	info  os.FileInfo // of file, to tell it from another of the same name
	size  int64       // bytes in file
	first int64       // entry that file begins with
	dirty bool        // file holds what was not synced

	points     *os.File
	pointsInfo os.FileInfo
	pointsSize int64

	origin string
	tree   tree
	last   checkpoint
	due    bool // a checkpoint could not be written
	moved  bool // path could not be opened again

	rotateAfter time.Time // not before then, after it has failed
}

// openSealed opens the log that file is of, and goes on where its last checkpoint
// and the lines after it end. It tells of what is not as it should be.
func openSealed(path string, file *os.File, config *Config, tell func(error, int)) (*sealed, error) {
	s := &sealed{path: path, config: config}
	if err := s.use(file); err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(config.Key.Verifier)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	last, err := latestCheckpoint(path, verifier)
	if err != nil {
		return nil, err
	}
	if last == nil {
		if s.size > 0 {
			return nil, fmt.Errorf("%s: %w", path, ErrUnsealed)
		}
		id := make([]byte, 8)
		if _, err := io.ReadFull(config.Random, id); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		s.origin = KeyName + "/" + hex.EncodeToString(id)
		return s, s.openPoints(0)
	}
	s.origin, s.tree, s.first = last.origin, last.tree.clone(), last.tree.size
	if err := s.openPoints(last.offset); err != nil {
		return nil, err
	}
	s.last = *last
	adopted, err := s.resume(tell)
	if err == nil && adopted > 0 && last.closed {
		tell(fmt.Errorf("%w: lines were written after it was closed", ErrTampered), 0)
	}
	if err == nil && (adopted > 0 || last.closed) {
		s.dirty = true
		err = s.checkpoint(adopted, false)
	}
	if err != nil {
		return nil, errors.Join(err, s.points.Close())
	}
	return s, nil
}

// Write appends to the file.
func (s *sealed) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.size += int64(max(n, 0))
	s.dirty = true
	return n, err
}

// use makes file the one that is written.
func (s *sealed) use(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	s.file, s.info, s.size, s.first, s.dirty = file, info, info.Size(), s.tree.size, false
	return nil
}

// sync makes what was written survive a loss of power.
func (s *sealed) sync() error {
	if !s.dirty {
		return nil
	}
	if err := s.config.sync(s.file); err != nil {
		return err
	}
	s.dirty = false
	return nil
}

// checkpoint signs the entries that are in the log. They are on disk before the
// checkpoint is, unless nothing is ever synced.
func (s *sealed) checkpoint(adopted int64, closed bool) error {
	return s.checkpointAt(s.size, adopted, closed)
}

func (s *sealed) checkpointAt(offset, adopted int64, closed bool) error {
	s.due = true
	if s.config.Sync != SyncNever {
		if err := s.sync(); err != nil {
			return err
		}
	}
	c := checkpoint{origin: s.origin, tree: s.tree.clone(), time: s.config.Now(), adopted: adopted, closed: closed, offset: offset}
	line, err := c.line(*s.config.Key)
	if err != nil {
		return err
	}
	n, err := s.points.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err != nil {
		if n > 0 { // a part of a line would be no checkpoint
			err = errors.Join(err, s.points.Truncate(s.pointsSize))
		}
		return err
	}
	s.pointsSize += int64(n)
	s.last, s.due = c, false
	if s.config.Sync != SyncNever {
		return s.config.sync(s.points)
	}
	return nil
}

// settle does what is due after entries were written, and each time the clock
// ticks.
func (s *sealed) settle(tick bool, tell func(error, int)) error {
	if tick || s.moved {
		if err := s.watch(tell); err != nil {
			return err
		}
	}
	fresh := s.tree.size - s.last.tree.size
	if s.config.Sync == SyncAlways || s.config.Sync == SyncInterval && tick {
		if err := s.sync(); err != nil {
			return err
		}
	}
	if s.due || fresh >= int64(s.config.Entries) || fresh > 0 && s.config.Now().Sub(s.last.time) >= s.config.Checkpoint {
		if err := s.checkpoint(0, false); err != nil {
			return err
		}
	}
	if s.config.MaxSize > 0 && s.size >= s.config.MaxSize && !s.config.Now().Before(s.rotateAfter) {
		if err := s.rotate(); err != nil {
			if s.moved {
				return err // tried again by watch
			}
			// The file is only larger than it should be.
			s.rotateAfter = s.config.Now().Add(time.Minute)
			tell(fmt.Errorf("rotating the log: %w", err), 0)
		}
	}
	return nil
}

// watch finds out that the file was renamed, deleted or cut.
func (s *sealed) watch(tell func(error, int)) error {
	info, err := os.Stat(s.path)
	if err == nil && os.SameFile(info, s.info) {
		s.moved = false
		if info.Size() < s.size {
			s.size = info.Size()
			tell(fmt.Errorf("%w: it is shorter than before", ErrTampered), 0)
		}
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !s.moved && removed(s.file) {
		tell(ErrRemoved, 0)
	}
	s.moved = true
	if err := s.reopen(); err != nil {
		return err
	}
	s.moved = false
	return nil
}

// rotate gives the file, and its checkpoints, the name that its first entry has,
// and begins new ones.
func (s *sealed) rotate() error {
	name := fmt.Sprintf("%s.%012d", s.path, s.first)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s: %w", name, fs.ErrExist))
	}
	if s.tree.size > s.last.tree.size {
		if err := s.checkpoint(0, false); err != nil {
			return err
		}
	}
	if err := os.Rename(s.path, name); err != nil {
		return err
	}
	s.moved = true
	if err := os.Rename(s.path+CheckpointSuffix, name+CheckpointSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.reopen(); err != nil {
		return err
	}
	s.moved = false
	return nil
}

// reopen goes on with the files that have the names now. A file that cannot be
// opened leaves the old one in use.
func (s *sealed) reopen() error {
	var sealErr error
	if s.tree.size > s.last.tree.size {
		sealErr = s.checkpoint(0, false)
	}
	if info, err := os.Stat(s.path); err != nil || !os.SameFile(info, s.info) {
		file, err := openLog(s.path)
		if err != nil {
			return errors.Join(sealErr, err)
		}
		if info, err := file.Stat(); err != nil || info.Size() > 0 {
			return errors.Join(sealErr, fmt.Errorf("%s: %w", s.path, ErrForeign), err, file.Close())
		}
		old, syncErr := s.file, error(nil)
		if s.config.Sync != SyncNever {
			syncErr = s.sync()
		}
		if err := s.use(file); err != nil {
			return errors.Join(sealErr, err, file.Close())
		}
		sealErr = errors.Join(sealErr, syncErr, old.Close())
	}
	if info, err := os.Stat(s.path + CheckpointSuffix); err != nil || !os.SameFile(info, s.pointsInfo) {
		sealErr = errors.Join(sealErr, s.openPoints(s.size))
	}
	return sealErr
}

// close signs all that was written.
func (s *sealed) close() error {
	err := error(nil)
	if s.tree.size > s.last.tree.size || s.due || !s.last.closed {
		err = s.checkpoint(0, true)
	}
	return errors.Join(err, s.points.Close(), s.config.sync(s.file), s.file.Close())
}

// openFile opens a file for appending, makes it with mode 0600 when there is
// none, and refuses one that every user may access.
func openFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
		err = fmt.Errorf("%s: %w", path, ErrOpenToAll)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// openLog opens a log, which one writer may have open at a time.
func openLog(path string) (*os.File, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.Mode().IsRegular() {
		if err == nil {
			if err = lock(file); errors.Is(err, ErrInUse) {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, nil
}

// SyncPolicy says when what was written is made to survive a loss of power.
type SyncPolicy uint8

// The policies. Whatever the policy, a line is in the operating system's hands
// once it is written, and survives the end of the process.
const (
	// SyncInterval syncs once a second, and before each checkpoint.
	SyncInterval SyncPolicy = iota
	// SyncAlways syncs after each write, of one or many lines.
	SyncAlways
	// SyncNever leaves it to the operating system.
	SyncNever
)

// ParseSyncPolicy reads interval, always or never.
func ParseSyncPolicy(s string) (SyncPolicy, bool) {
	switch s {
	case "interval":
		return SyncInterval, true
	case "always":
		return SyncAlways, true
	case "never":
		return SyncNever, true
	}
	return 0, false
}

// clockTick is how often a sealed log looks at its file and, with
// [SyncInterval], syncs it.
const clockTick = time.Second
