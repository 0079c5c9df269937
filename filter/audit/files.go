package audit

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// Files lists the files of the log at path, in the order of its entries: those
// that were rotated and the present one. Files that end in .gz are read as they
// are. Empty files are left out.
func Files(path string) (logs, checkpoints []string, err error) {
	names, err := siblings(path)
	if err != nil {
		return nil, nil, err
	}
	logs, checkpoints = Split(names)
	logs, err = order(logs)
	return logs, checkpoints, err
}

// Split tells the files of a log from those of checkpoints, by their names.
func Split(names []string) (logs, checkpoints []string) {
	for _, name := range names {
		if isCheckpointFile(name) {
			checkpoints = append(checkpoints, name)
		} else {
			logs = append(logs, name)
		}
	}
	return logs, checkpoints
}

// order sorts logs by the number of their first entry. Those without numbers come
// first, by name.
func order(names []string) ([]string, error) {
	type log struct {
		name  string
		first int64
	}
	var list []log
	for _, name := range names {
		first, empty, err := begins(name)
		if err != nil {
			return nil, err
		}
		if !empty {
			list = append(list, log{name, first})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].first != list[j].first {
			return list[i].first < list[j].first
		}
		return list[i].name < list[j].name
	})
	out := make([]string, len(list))
	for i, l := range list {
		out[i] = l.name
	}
	return out, nil
}

// begins returns the number of a log's first entry. When its first lines have
// none, it is that of the next one that has.
func begins(name string) (first int64, empty bool, err error) {
	r, err := openReader(name)
	if err != nil {
		return 0, false, err
	}
	defer r.Close()
	b := bufio.NewReaderSize(r, 64<<10)
	for i := range int64(100) {
		line, err := readLine(b)
		if n, ok := sequenceOf(line); ok {
			return max(0, n-i), false, nil
		}
		if errors.Is(err, io.EOF) {
			return -1, i == 0, nil
		}
		if err != nil {
			break
		}
	}
	return -1, false, nil
}

// openReader opens a file, through gzip when its name says so.
func openReader(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil || !strings.HasSuffix(name, ".gz") {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}
