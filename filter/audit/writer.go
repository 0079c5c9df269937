package audit

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Errors of a [Writer].
var (
	// ErrFull: the queue is full, as the log takes lines slower than they come,
	// or none. The event is lost.
	ErrFull = errors.New("audit: the queue is full")
	// ErrClosed: the writer was closed. The event is lost.
	ErrClosed = errors.New("audit: the writer is closed")
	// ErrOpenToAll: users other than owner and group may read or write the file.
	ErrOpenToAll = errors.New("audit: the file is accessible to every user; take that away (chmod o=)")
	// ErrLost: lines could not be written before the writer was closed.
	ErrLost = errors.New("audit: lines were lost")
)

// Config is how a [Writer] is set up. The zero value is usable.
type Config struct {
	// MaxQueue is how many bytes wait to be written at most; 16 MiB when zero.
	MaxQueue int
	// Retry is how long after a failed write the next attempt follows; one
	// second when zero.
	Retry time.Duration
	// OnError is told each fault: a failed write or reopening, where lost is
	// zero as the lines are kept and tried again, or a loss, where lost is the
	// number of lines that are gone. It may be called from several goroutines
	// and must not call the Writer.
	OnError func(err error, lost int)

	// Key signs checkpoints. Without one, and where the log is not a regular
	// file, lines are not numbered and there is no tree.
	Key *Key
	// Now and Random give the time and the randomness of checkpoints; the clock
	// and [crypto/rand.Reader] when nil.
	Now    func() time.Time
	Random io.Reader
	// Sync says when lines are synced.
	Sync SyncPolicy
	// Checkpoint and Entries are after how much time, and after how many
	// entries, new ones are signed: ten seconds and 1000 when zero.
	Checkpoint time.Duration
	Entries    int
	// MaxSize is from how many bytes on a file is rotated; never when zero.
	MaxSize int64

	fsync func(*os.File) error // for tests
}

// sync is [os.File.Sync].
func (c *Config) sync(f *os.File) error {
	if c.fsync != nil {
		return c.fsync(f)
	}
	return f.Sync()
}

func (c *Config) fill() {
	if c.MaxQueue <= 0 {
		c.MaxQueue = 16 << 20
	}
	if c.Retry <= 0 {
		c.Retry = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Checkpoint <= 0 {
		c.Checkpoint = 10 * time.Second
	}
	if c.Entries <= 0 {
		c.Entries = 1000
	}
}

// Stats are numbers about a [Writer].
type Stats struct {
	// Written is the number of lines that were handed to the log whole.
	Written uint64
	// Lost is the number of events that will never be in it.
	Lost uint64
	// Failed is the number of writes and reopenings that failed.
	Failed uint64
}

// Writer appends events to a log, one line each. It is safe for concurrent use
// and never makes a caller wait for the disk: one goroutine writes what has
// gathered, many lines at a time when there are many. A line is never torn: what
// a failed write has left is finished by the next one.
type Writer struct {
	config Config
	path   string // empty when the log is not a file of ours

	mu     sync.Mutex
	queue  []byte // whole lines
	lines  int    // in queue
	stats  Stats
	next   int64 // number of the next entry; below zero when they have none
	closed bool

	fault atomic.Pointer[error]

	wake chan struct{} // has room for one
	work chan request
	done chan struct{}

	// Of the goroutine alone.
	log     io.Writer
	file    *os.File // log, when it is a file of ours
	sealed  *sealed  // log, when it has a tree; file is nil then
	batch   []byte   // being written
	written int      // bytes of batch that are in the log
	leaf    int      // bytes of batch that are whole lines in the log
	retry   <-chan time.Time
}

// request is what the goroutine is asked to do.
type request struct {
	do    func() error
	last  bool
	reply chan error
}

// Open returns a writer that appends to the file at path, which it creates with
// mode 0600. A file that exists keeps its mode, as a group may be meant to read
// it; one that every user may access is refused ([ErrOpenToAll]). A path of "-"
// is standard output.
//
// A line that a crash has left unfinished at the end of the file is ended first.
//
// With a key the log goes on where its last checkpoint and the lines after it
// end. What of it is not as it was written is told to OnError and does not keep
// the log from going on: the proof stays, [Verify] shows it. Lines without any
// checkpoint ([ErrUnsealed]) and a checkpoint of another key ([ErrSignature]) are
// errors.
func Open(path string, config Config) (*Writer, error) {
	if path == "-" {
		return New(os.Stdout, config), nil
	}
	config.fill()
	file, err := openLog(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	w := build(file, config)
	w.path = path
	if config.Key != nil && info.Mode().IsRegular() {
		w.sealed, err = openSealed(path, file, &w.config, w.tell)
		if err == nil {
			w.log, w.next = w.sealed, w.sealed.tree.size
		}
	} else {
		w.file = file
		err = endTorn(file, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	go w.run()
	return w, nil
}

// New returns a writer that appends to log, which it does not close.
func New(log io.Writer, config Config) *Writer {
	w := build(log, config)
	go w.run()
	return w
}

func build(log io.Writer, config Config) *Writer {
	config.fill()
	return &Writer{
		config: config, log: log, next: -1,
		wake: make(chan struct{}, 1), work: make(chan request), done: make(chan struct{}),
	}
}

// endTorn ends a line that a crash has left unfinished.
func endTorn(file *os.File, info os.FileInfo) error {
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	return endLine(&sealed{file: file, size: info.Size()})
}

// Write takes an event into the queue. The error is [ErrFull] or [ErrClosed];
// the loss was then also counted and told to OnError.
func (w *Writer) Write(e *Event) error { return w.add(e, nil) }

// WriteAction takes an action into the queue. The errors are those of Write.
func (w *Writer) WriteAction(a *Action) error { return w.add(nil, a) }

// add takes one of both.
func (w *Writer) add(e *Event, a *Action) error {
	w.mu.Lock()
	before := len(w.queue)
	err := error(nil)
	if w.closed {
		err = ErrClosed
	} else {
		if a != nil {
			w.queue = a.appendLine(w.queue, w.next)
		} else {
			w.queue = e.appendLine(w.queue, w.next)
		}
		w.queue = append(w.queue, '\n')
		if len(w.queue) > w.config.MaxQueue {
			w.queue = w.queue[:before]
			err = ErrFull
		} else if w.next >= 0 {
			w.next++
		}
		if len(w.queue) > w.config.MaxQueue/2 {
			// Room is kept for the requests under way.
			full := ErrFull
			w.fault.Store(&full)
		}
	}
	if err != nil {
		w.stats.Lost++
		w.mu.Unlock()
		w.tell(err, 1)
		return err
	}
	w.lines++
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// Stats returns the numbers of now.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Err is why events cannot be written at the moment, or nil: the last attempt
// failed, or more than half of the queue is waiting. Waiting events are kept for
// as long as the queue has room.
func (w *Writer) Err() error {
	if err := w.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// Configure changes when lines are synced and signed and files rotated: Sync,
// Checkpoint, Entries and MaxSize.
func (w *Writer) Configure(c Config) error {
	c.fill()
	return w.ask(false, func() error {
		w.config.Sync, w.config.Checkpoint, w.config.Entries, w.config.MaxSize = c.Sync, c.Checkpoint, c.Entries, c.MaxSize
		return nil
	})
}

// Flush returns when every event that was taken before is handed to the log, or
// with the error of the attempt. What could not be written is kept.
func (w *Writer) Flush() error { return w.ask(false, w.drain) }

// Reopen writes what waits, opens the path anew and closes the old file: what a
// log's rotation asks for once it has renamed it. When the new file cannot be
// opened, the old one stays in use. On a log that is not a file it only flushes.
func (w *Writer) Reopen() error { return w.ask(false, w.rotate) }

// Close writes what waits, syncs and closes the file. The error holds [ErrLost]
// when lines could not be written. Closing again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	again := w.closed
	w.closed = true
	w.mu.Unlock()
	if again {
		<-w.done
		return nil
	}
	return w.ask(true, w.end)
}

func (w *Writer) ask(last bool, do func() error) error {
	reply := make(chan error, 1)
	select {
	case w.work <- request{do, last, reply}:
		return <-reply
	case <-w.done:
		return ErrClosed
	}
}

func (w *Writer) tell(err error, lost int) {
	if w.config.OnError != nil {
		w.config.OnError(err, lost)
	}
}

// run is the goroutine that owns the log.
func (w *Writer) run() {
	defer close(w.done)
	var tick <-chan time.Time
	if w.sealed != nil {
		ticker := time.NewTicker(clockTick)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-w.wake:
			if w.retry == nil { // else the log is failing, and its time comes
				_ = w.drain() // told to OnError
			}
		case <-w.retry:
			_ = w.drain()
		case <-tick:
			if w.retry == nil {
				_ = w.attempt(func() error { return w.sealed.settle(true, w.tell) })
			}
		case r := <-w.work:
			r.reply <- r.do()
			if r.last {
				return
			}
		}
	}
}

// attempt does something to the log and remembers whether it failed.
func (w *Writer) attempt(do func() error) error {
	err := do()
	if err == nil {
		return nil
	}
	w.mu.Lock()
	w.stats.Failed++
	w.mu.Unlock()
	w.retry = time.After(w.config.Retry)
	w.fault.Store(&err)
	w.tell(err, 0)
	return err
}

// drain writes what waits when it is called, or until a write fails. What comes
// meanwhile has its own wake-up, so that no flood of events keeps a request from
// its turn.
func (w *Writer) drain() error {
	w.retry = nil
	return w.attempt(func() error {
		if err := w.writeOut(); err != nil {
			return err
		}
		if w.sealed != nil {
			if err := w.sealed.settle(false, w.tell); err != nil {
				return err
			}
		}
		if w.fault.Load() != nil {
			w.mu.Lock()
			if len(w.queue) <= w.config.MaxQueue/2 {
				w.fault.Store(nil)
			}
			w.mu.Unlock()
		}
		return nil
	})
}

func (w *Writer) writeOut() error {
	for taken := false; ; {
		if w.written == len(w.batch) {
			if taken {
				return nil
			}
			taken = true
			w.mu.Lock()
			w.queue, w.batch = w.batch[:0], w.queue
			w.lines = 0
			w.mu.Unlock()
			w.written, w.leaf = 0, 0
			if len(w.batch) == 0 {
				return nil
			}
		}
		n, err := w.log.Write(w.batch[w.written:])
		if n < 0 || n > len(w.batch)-w.written {
			n = 0 // a log that breaks the contract of io.Writer
		}
		if err == nil && w.written+n < len(w.batch) {
			err = io.ErrShortWrite
		}
		w.written += n
		whole := w.seal()
		w.mu.Lock()
		w.stats.Written += whole
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// seal takes the lines that are whole in the log into its tree and returns their
// number.
func (w *Writer) seal() (whole uint64) {
	for {
		end := bytes.IndexByte(w.batch[w.leaf:w.written], '\n')
		if end < 0 {
			return whole
		}
		if w.sealed != nil {
			w.sealed.tree.add(tlog.RecordHash(w.batch[w.leaf : w.leaf+end]))
		}
		w.leaf += end + 1
		whole++
	}
}

// rotate changes to a new file. A line that is only partly in the old one is
// written whole into the new one.
func (w *Writer) rotate() error {
	if w.file == nil && w.sealed == nil {
		return w.drain()
	}
	failed := w.drain()
	err := w.attempt(w.change)
	if err != nil && w.sealed == nil {
		return err
	}
	if failed != nil && w.leaf < w.written {
		w.written = w.leaf
		failed = w.drain()
	}
	return errors.Join(failed, err)
}

// change opens the file that has the name now.
func (w *Writer) change() error {
	if w.sealed != nil {
		return w.sealed.reopen()
	}
	if now, err := os.Stat(w.path); err == nil {
		if have, err := w.file.Stat(); err == nil && os.SameFile(now, have) {
			return nil
		}
	}
	file, err := openLog(w.path)
	if err != nil {
		return err
	}
	err = w.shut()
	w.file, w.log = file, file
	return err
}

func (w *Writer) shut() error {
	if w.sealed != nil {
		return w.sealed.close()
	}
	if w.file == nil {
		return nil
	}
	err := w.file.Sync()
	if info, statErr := w.file.Stat(); statErr == nil && !info.Mode().IsRegular() {
		err = nil // pipes and devices cannot be synced
	}
	return errors.Join(err, w.file.Close())
}

func (w *Writer) end() error {
	err := w.drain()
	if err != nil {
		w.mu.Lock()
		lost := bytes.Count(w.batch[w.written:], []byte{'\n'}) + w.lines
		w.stats.Lost += uint64(lost)
		w.mu.Unlock()
		w.tell(ErrLost, lost)
		err = errors.Join(ErrLost, err)
	}
	return errors.Join(err, w.shut())
}
