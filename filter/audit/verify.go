package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxProblems is how many problems a [Report] holds; more are counted.
const maxProblems = 100

// Verification is what [Verify] looks at.
type Verification struct {
	// Logs and Checkpoints are the names of files, in any order. Checkpoints
	// that were kept elsewhere can stand beside those of the log.
	Logs, Checkpoints []string
	// Verifier is the key that must have signed the checkpoints.
	Verifier string
	// Pruned allows that the oldest entries are gone, up to a checkpoint.
	Pruned bool
}

// Report is what [Verify] found.
type Report struct {
	// Problems say what is wrong and where; none means that the log is as it was
	// written. More were found and left out.
	Problems []Problem
	More     int
	// Notes say what is worth knowing and not wrong.
	Notes []string
	// First and Entries are the number of the first entry and how many there
	// are; Signed is the number of the first entry that no checkpoint covers.
	First, Entries, Signed int64
	// Checkpoints is how many there are, and Last the time of the last one.
	Checkpoints int
	Last        time.Time
}

// OK reports whether the log is as it was written.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Problem is one thing that is wrong.
type Problem struct {
	File string // empty when it is about no one file
	Line int    // from 1; zero when it is about no one line
	Text string
}

// String is "file:line: text".
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Verify reads a log from its beginning and compares it with its checkpoints. It
// finds whatever was changed, taken out, put in or put elsewhere in what a
// checkpoint covers, and checkpoints that are not the log's. An error means that
// it could not be read. Memory does not grow with the log.
func Verify(v Verification) (*Report, error) {
	verifier, err := note.NewVerifier(v.Verifier)
	if err != nil {
		return nil, fmt.Errorf("audit: the verifier key: %w", err)
	}
	c := &verify{pruned: v.Pruned, report: &Report{}}
	// Checkpoints first: a running memgate then can only have written more
	// entries than they say.
	c.points, err = openPointReaders(v.Checkpoints, verifier, c.problem)
	defer func() {
		for _, p := range c.points {
			_ = p.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	names, err := order(v.Logs)
	if err != nil {
		return nil, err
	}
	c.advance()
	for i, name := range names {
		if err := c.log(name, i == len(names)-1); err != nil {
			return nil, err
		}
	}
	c.end()
	return c.report, nil
}

// verify is one run.
type verify struct {
	report *Report
	pruned bool
	points []*pointReader
	next   *checkpoint // that was not reached yet
	last   *checkpoint // that was

	begun   bool
	entry   int64 // number of the next entry
	tree    tree  // of the entries before it, unless broken
	broken  bool  // the tree is not known until the next checkpoint
	from    place // of the first entry after the last checkpoint
	origin  string
	torn    []byte // line that was not ended at the end of a file
	tornAt  place
	pending *pendingLine
}

type place struct {
	file string
	line int
}

// pendingLine is a line without a number: an entry that a crash has torn, or none
// at all. The next line tells.
type pendingLine struct {
	hash tlog.Hash
	at   place
}

func (c *verify) problem(at place, format string, args ...any) {
	if len(c.report.Problems) == maxProblems {
		c.report.More++
		return
	}
	c.report.Problems = append(c.report.Problems, Problem{at.file, at.line, fmt.Sprintf(format, args...)})
}

func (c *verify) note(format string, args ...any) {
	if len(c.report.Notes) < maxProblems {
		c.report.Notes = append(c.report.Notes, fmt.Sprintf(format, args...))
	}
}

// log reads one file.
func (c *verify) log(name string, last bool) error {
	f, err := openReader(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	at := place{file: name}
	for {
		line, err := readLine(r)
		at.line++
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			if last {
				c.note("%s:%d: the last line is not ended: it is being written, or a crash has torn it", at.file, at.line)
			} else {
				c.torn, c.tornAt = bytes.Clone(line), at
			}
			return nil
		case err != nil:
			c.problem(at, "%v", err)
			return nil
		}
		if c.torn != nil {
			if !bytes.HasPrefix(line, c.torn) {
				c.problem(c.tornAt, "a line that is not ended, and does not follow in the next file")
			}
			c.torn = nil
		}
		c.line(line, at)
	}
}

func (c *verify) line(line []byte, at place) {
	n, ok := sequenceOf(line)
	if !ok {
		if c.pending != nil {
			c.problem(c.pending.at, "a line that is no entry")
		}
		c.pending = &pendingLine{tlog.RecordHash(line), at}
		return
	}
	if !c.begun {
		c.begin(n, at)
	}
	if p := c.pending; p != nil {
		c.pending = nil
		if n == c.entry+1 {
			c.note("%s:%d: entry %d was torn by a crash", p.at.file, p.at.line, c.entry)
			c.leaf(p.hash, p.at)
		} else {
			c.problem(p.at, "a line that is no entry")
		}
	}
	switch {
	case n > c.entry:
		c.problem(at, "%s missing before entry %d", entries(c.entry, n, "is", "are"), n)
		c.skip(n)
	case n < c.entry:
		c.problem(at, "entry %d stands here, where entry %d is due: it is out of order, or here twice", n, c.entry)
		return
	}
	c.leaf(tlog.RecordHash(line), at)
}

// begin takes the number of the first entry.
func (c *verify) begin(n int64, at place) {
	c.begun = true
	if c.pending != nil && n > 0 {
		n-- // a torn entry came before it
	}
	c.report.First = n
	if n == 0 {
		return
	}
	if !c.pruned {
		c.problem(at, "the log begins with entry %d: %s missing (if they were deleted on purpose, allow it with --pruned)", n, entries(0, n, "is", "are"))
	}
	c.skip(n)
	if c.broken {
		c.problem(at, "no checkpoint says what came before entry %d: what precedes the next one cannot be verified", n)
	}
}

// skip goes on with entry n after a gap.
func (c *verify) skip(n int64) {
	c.entry, c.broken = n, true
	for c.next != nil && c.next.tree.size <= n {
		if c.next.tree.size == n {
			c.tree, c.broken = c.next.tree.clone(), false
		}
		c.reached()
	}
}

// leaf takes an entry.
func (c *verify) leaf(hash tlog.Hash, at place) {
	if c.from.file == "" {
		c.from = at
	}
	c.entry++
	c.report.Entries++
	if !c.broken {
		c.tree.add(hash)
	}
	for c.next != nil && c.next.tree.size <= c.entry {
		c.compare(at)
		c.reached()
	}
}

// compare checks the entries up to here with the checkpoint that covers them, and
// goes on as if they were right.
func (c *verify) compare(at place) {
	want := &c.next.tree
	if !c.broken && want.size == c.entry && want.root() != c.tree.root() {
		first, after := c.differs(want)
		c.problem(c.from, "%s changed after the checkpoint of %s was signed (up to %s:%d)",
			entries(first, after, "was", "were"), stamp(c.next.time), at.file, at.line)
	}
	if want.size == c.entry {
		c.tree, c.broken = want.clone(), false
	}
}

// differs narrows down which entries are not as in want, a tree of the same size.
func (c *verify) differs(want *tree) (first, after int64) {
	since := int64(0)
	if c.last != nil {
		since = c.last.tree.size
	}
	start := int64(0)
	for i, bit := 0, 62; bit >= 0; bit-- {
		size := int64(1) << bit
		if want.size&size == 0 {
			continue
		}
		if want.edge[i] != c.tree.edge[i] {
			return max(start, since), start + size
		}
		start += size
		i++
	}
	return since, want.size
}

// reached goes on to the next checkpoint.
func (c *verify) reached() {
	p := c.next
	if p.adopted > 0 {
		from := p.tree.size - p.adopted
		if c.last != nil && c.last.closed {
			c.problem(place{}, "%s written after the log had been closed", entries(from, p.tree.size, "was", "were"))
		} else {
			c.note("%s had no checkpoint when memgate ended without closing the log, and %s signed at %s",
				entries(from, p.tree.size, "", ""), plural(p.adopted, "was", "were"), stamp(p.time))
		}
	}
	c.last, c.from = p, place{}
	c.report.Signed, c.report.Last = p.tree.size, p.time
	c.advance()
}

// advance takes the checkpoint of fewest entries from the files.
func (c *verify) advance() {
	for {
		best := -1
		for i, p := range c.points {
			if p.head != nil && (best < 0 || p.head.before(c.points[best].head)) {
				best = i
			}
		}
		if best < 0 {
			c.next = nil
			return
		}
		p := c.points[best]
		c.next = p.head
		at := p.at
		p.read(c.problem)
		c.report.Checkpoints++
		if c.origin == "" {
			c.origin = c.next.origin
		}
		if c.next.origin != c.origin {
			c.problem(at, "a checkpoint of another log: %s instead of %s", c.next.origin, c.origin)
			continue
		}
		if c.last != nil && c.last.tree.size == c.next.tree.size && c.last.tree.root() != c.next.tree.root() {
			c.problem(at, "two checkpoints of %d entries contradict each other", c.next.tree.size)
		}
		if c.begun || c.next.tree.size > 0 || c.pending != nil {
			return
		}
		// Nothing to compare: the log's beginning.
		c.last, c.report.Last = c.next, c.next.time
	}
}

// end compares what was read with the checkpoints that are left.
func (c *verify) end() {
	if c.torn != nil {
		c.problem(c.tornAt, "a line that is not ended, and does not follow in the next file")
	}
	if p := c.pending; p != nil {
		c.pending = nil
		if c.next != nil && c.next.tree.size > c.entry || c.next == nil && c.report.Checkpoints > 0 {
			c.note("%s:%d: entry %d was torn by a crash", p.at.file, p.at.line, c.entry)
			c.leaf(p.hash, p.at)
		} else {
			c.problem(p.at, "a line that is no entry")
		}
	}
	if c.report.Checkpoints == 0 {
		c.problem(place{}, "no checkpoint of this key: nothing can be verified")
		return
	}
	missing := int64(-1)
	var when time.Time
	for c.next != nil {
		if c.next.tree.size > c.entry {
			missing, when = c.next.tree.size, c.next.time
		}
		c.last, c.report.Last = c.next, c.next.time
		c.advance()
	}
	if missing >= 0 {
		c.problem(place{}, "the log ends before entry %d: %s missing, which the checkpoint of %s covers", c.entry, entries(c.entry, missing, "is", "are"), stamp(when))
		return
	}
	if left := c.entry - c.report.Signed; left > 0 {
		if c.last != nil && c.last.closed {
			c.problem(place{}, "%s written after the log had been closed", entries(c.report.Signed, c.entry, "was", "were"))
		} else {
			c.note("%s not signed yet, and could be changed without a trace", entries(c.report.Signed, c.entry, "is", "are"))
		}
	}
}

// entries names the entries from one up to but without another.
func entries(from, to int64, one, many string) string {
	text := fmt.Sprintf("entry %d ", from)
	verb := one
	if to-from != 1 {
		text, verb = fmt.Sprintf("entries %d to %d ", from, to-1), many
	}
	if verb == "" {
		return text[:len(text)-1]
	}
	return text + verb
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// before orders checkpoints by what they cover, and then by time.
func (c *checkpoint) before(d *checkpoint) bool {
	if c.tree.size != d.tree.size {
		return c.tree.size < d.tree.size
	}
	return c.time.Before(d.time)
}

// pointReader reads a checkpoint file.
type pointReader struct {
	name     string
	verifier note.Verifier
	r        *bufio.Reader
	close    func() error
	line     int
	size     int64       // of the last checkpoint
	head     *checkpoint // nil at the end
	at       place       // of head
}

func openPointReaders(names []string, verifier note.Verifier, problem func(place, string, ...any)) ([]*pointReader, error) {
	var out []*pointReader
	for _, name := range names {
		f, err := openReader(name)
		if err != nil {
			return out, err
		}
		// Read as far as the file goes now, not what is written meanwhile.
		r := io.Reader(f)
		if s, ok := f.(io.Seeker); ok {
			size, err := s.Seek(0, io.SeekEnd)
			if err == nil {
				_, err = s.Seek(0, io.SeekStart)
			}
			if err != nil {
				return out, errors.Join(err, f.Close())
			}
			r = io.LimitReader(f, size)
		}
		p := &pointReader{name: name, verifier: verifier, r: bufio.NewReaderSize(r, maxCheckpoint), close: f.Close}
		out = append(out, p)
		p.read(problem)
	}
	return out, nil
}

// read takes the next checkpoint that is one.
func (p *pointReader) read(problem func(place, string, ...any)) {
	for {
		line, err := readLine(p.r)
		p.line++
		at := place{p.name, p.line}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			p.head = nil // a line that is not ended is being written
			return
		}
		if err != nil {
			problem(at, "%v", err)
			p.head = nil
			return
		}
		c, err := parseCheckpoint(line, p.verifier)
		if err != nil {
			problem(at, "%v", err)
			continue
		}
		if c.tree.size < p.size {
			problem(at, "a checkpoint of %d entries after one of %d", c.tree.size, p.size)
		}
		p.size = c.tree.size
		p.head, p.at = c, at
		return
	}
}
