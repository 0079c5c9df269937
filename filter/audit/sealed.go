package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
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
			return nil, ErrUnsealed
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

// resume takes the lines after the last checkpoint into the tree and returns how
// many there are. A line that a crash has torn is ended and becomes an entry.
func (s *sealed) resume(tell func(error, int)) (adopted int64, err error) {
	if s.size == 0 {
		return 0, nil
	}
	at, found, err := s.find()
	if err != nil {
		return 0, err
	}
	if !found {
		tell(fmt.Errorf("%w: what the last checkpoint names is not at the log's end", ErrTampered), 0)
		return 0, endLine(s)
	}
	if err := endLine(s); err != nil {
		return 0, err
	}
	r := bufio.NewReader(io.NewSectionReader(s.file, at, s.size-at))
	for {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return adopted, nil
		}
		if err != nil {
			return adopted, fmt.Errorf("%s: %w", s.path, err)
		}
		s.tree.add(tlog.RecordHash(line))
		adopted++
	}
}

// endLine ends the file's last line.
func endLine(s *sealed) error {
	var last [1]byte
	if _, err := s.file.ReadAt(last[:], s.size-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := s.file.Write([]byte{'\n'})
	s.size += int64(n)
	return err
}

// find returns where in the file the entries after the last checkpoint begin.
// The checkpoint says where; when the file was changed by a rotation meanwhile,
// all of it is looked at.
func (s *sealed) find() (int64, bool, error) {
	first, err := firstSequence(s.file)
	if err != nil {
		return 0, false, err
	}
	if first >= 0 {
		s.first = first
	}
	if at := s.last.offset; at >= 0 && at <= s.size && s.follows(at) {
		return at, true, nil
	}
	r := bufio.NewReader(io.NewSectionReader(s.file, 0, s.size))
	at := int64(0)
	for {
		line, err := readLine(r)
		n, ok := sequenceOf(line)
		if ok && n == s.tree.size {
			return at, true, nil
		}
		if err != nil {
			return s.size, ok && n == s.tree.size-1, ignoreEOF(err)
		}
		at += int64(len(line)) + 1
		if at >= s.size {
			return at, ok && n == s.tree.size-1, nil
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// follows reports whether the first entry after the last checkpoint is at an
// offset, or the file ends there with the entry before it.
func (s *sealed) follows(at int64) bool {
	if at > 0 {
		var before [1]byte
		if _, err := s.file.ReadAt(before[:], at-1); err != nil || before[0] != '\n' {
			return false
		}
	}
	if at == s.size {
		return true
	}
	start := make([]byte, min(64, s.size-at))
	if _, err := s.file.ReadAt(start, at); err != nil {
		return false
	}
	n, ok := sequenceOf(start)
	// Less than the start of a line is what a crash has left of it.
	return ok && n == s.tree.size || !ok && bytes.IndexByte(start, '\n') < 0 && int64(len(start)) == s.size-at
}

// firstSequence is the number of the entry that a log begins with, or -1.
func firstSequence(f io.ReaderAt) (int64, error) {
	var start [64]byte
	n, err := f.ReadAt(start[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return -1, err
	}
	if first, ok := sequenceOf(start[:n]); ok {
		return first, nil
	}
	return -1, nil
}

// readLine returns the next line without its end. The error is io.EOF after the
// last one, and io.ErrUnexpectedEOF with a line that is not ended.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if err == nil && line == nil {
			return part[:len(part)-1], nil // valid until the next call
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, errors.New("a line is longer than 1 MiB")
		}
	}
}

// checkpointFiles lists the checkpoint files of the log at path, the present one
// and those that were rotated.
func checkpointFiles(path string) ([]string, error) {
	names, err := siblings(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		if isCheckpointFile(name) {
			out = append(out, name)
		}
	}
	return out, nil
}

func isCheckpointFile(name string) bool {
	return strings.Contains(filepath.Base(name), CheckpointSuffix)
}

// siblings lists the files whose names begin with that of the log.
func siblings(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	var out []string
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), base); ok && e.Type().IsRegular() && (rest == "" || rest[0] == '.' || rest[0] == '-') {
			out = append(out, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return out, nil
}

// latestCheckpoint is the last checkpoint of the log at path, nil without any. A
// present checkpoint file that does not end in one is an error.
func latestCheckpoint(path string, verifier note.Verifier) (*checkpoint, error) {
	names, err := checkpointFiles(path)
	if err != nil {
		return nil, err
	}
	var best *checkpoint
	for _, name := range names {
		line, err := lastLine(name)
		if err != nil {
			return nil, err
		}
		if line == nil || strings.HasSuffix(name, ".gz") {
			continue
		}
		c, err := parseCheckpoint(line, verifier)
		if err != nil {
			if name == path+CheckpointSuffix {
				return nil, fmt.Errorf("%s: %w; restore the key, or move the log and its checkpoints away to begin a new one", name, err)
			}
			continue
		}
		if best == nil || c.tree.size > best.tree.size || c.tree.size == best.tree.size && name == path+CheckpointSuffix {
			best = c
		}
	}
	return best, nil
}

// lastLine returns the last line of a file that is ended, nil without one.
func lastLine(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-2*maxCheckpoint)
	tail, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, from, info.Size()-from), 2*maxCheckpoint))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(tail, '\n')
	if end < 0 {
		return nil, nil
	}
	return tail[bytes.LastIndexByte(tail[:end], '\n')+1 : end], nil
}

// openPoints opens the checkpoint file, cuts off what a crash has left of a line,
// and begins an empty file with where the log is: the next entry follows at
// offset.
func (s *sealed) openPoints(offset int64) error {
	f, err := openFile(s.path + CheckpointSuffix)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	size := info.Size()
	from := max(0, size-2*maxCheckpoint)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return errors.Join(err, f.Close())
	}
	if whole := from + int64(bytes.LastIndexByte(tail, '\n')+1); whole < size {
		if err := f.Truncate(whole); err != nil {
			return errors.Join(err, f.Close())
		}
		size = whole
	}
	old := s.points
	s.points, s.pointsInfo, s.pointsSize = f, info, size
	if old != nil {
		err = old.Close()
	}
	if size == 0 {
		err = errors.Join(err, s.checkpointAt(offset, 0, false))
	}
	return err
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
			return errors.Join(sealErr, ErrForeign, err, file.Close())
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
		err = ErrOpenToAll
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
			err = lock(file)
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
