package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

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
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '-' {
			continue
		}
		name := filepath.Join(filepath.Dir(path), e.Name())
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			out = append(out, name)
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
