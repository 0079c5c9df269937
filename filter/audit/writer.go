package audit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
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
	// MaxQueue is how many bytes wait to be written at most; 4 MiB when zero.
	MaxQueue int
	// Retry is how long after a failed write the next attempt follows; one
	// second when zero.
	Retry time.Duration
	// OnError is told each fault: a failed write or reopening, where lost is
	// zero as the lines are kept and tried again, or a loss, where lost is the
	// number of lines that are gone. It may be called from several goroutines
	// and must not call the Writer.
	OnError func(err error, lost int)
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
	closed bool

	wake chan struct{} // has room for one
	work chan request
	done chan struct{}

	// Of the goroutine alone.
	log     io.Writer
	file    *os.File // log, when it is a file of ours
	batch   []byte   // being written
	written int      // bytes of batch that are in the log
	retry   <-chan time.Time
}

type request struct {
	kind  int
	reply chan error
}

const (
	flush = iota
	reopen
	finish
)

// Open returns a writer that appends to the file at path, which it creates with
// mode 0600. A file that exists keeps its mode, as a group may be meant to read
// it; one that every user may access is refused ([ErrOpenToAll]). A path of "-"
// is standard output.
//
// A line that a crash has left unfinished at the end of the file is ended first.
func Open(path string, config Config) (*Writer, error) {
	if path == "-" {
		return New(os.Stdout, config), nil
	}
	file, err := openLog(path)
	if err != nil {
		return nil, err
	}
	w := build(file, config)
	w.path, w.file = path, file
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
	if config.MaxQueue <= 0 {
		config.MaxQueue = 4 << 20
	}
	if config.Retry <= 0 {
		config.Retry = time.Second
	}
	return &Writer{
		config: config, log: log,
		wake: make(chan struct{}, 1), work: make(chan request), done: make(chan struct{}),
	}
}

func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = checkLog(file, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func checkLog(file *os.File, info os.FileInfo) error {
	if info.Mode().Perm()&0o007 != 0 {
		return ErrOpenToAll
	}
	if info.Size() == 0 {
		return nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], info.Size()-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err := file.Write([]byte{'\n'})
	return err
}

// Write takes an event into the queue. The error is [ErrFull] or [ErrClosed];
// the loss was then also counted and told to OnError.
func (w *Writer) Write(e *Event) error {
	w.mu.Lock()
	before := len(w.queue)
	err := error(nil)
	if w.closed {
		err = ErrClosed
	} else {
		w.queue = append(e.AppendJSON(w.queue), '\n')
		if len(w.queue) > w.config.MaxQueue {
			w.queue = w.queue[:before]
			err = ErrFull
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

// Flush returns when every event that was taken before is handed to the log, or
// with the error of the attempt. What could not be written is kept.
func (w *Writer) Flush() error { return w.ask(flush) }

// Reopen writes what waits, opens the path anew and closes the old file: what a
// log's rotation asks for once it has renamed it. When the new file cannot be
// opened, the old one stays in use. On a log that is not a file it only flushes.
func (w *Writer) Reopen() error { return w.ask(reopen) }

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
	return w.ask(finish)
}

func (w *Writer) ask(kind int) error {
	reply := make(chan error, 1)
	select {
	case w.work <- request{kind, reply}:
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
	for {
		select {
		case <-w.wake:
			if w.retry == nil { // else the log is failing, and its time comes
				_ = w.drain() // told to OnError
			}
		case <-w.retry:
			_ = w.drain()
		case r := <-w.work:
			switch r.kind {
			case flush:
				r.reply <- w.drain()
			case reopen:
				r.reply <- w.rotate()
			case finish:
				r.reply <- w.end()
				return
			}
		}
	}
}

// drain writes what waits when it is called, or until a write fails. What comes
// meanwhile has its own wake-up, so that no flood of events keeps a request from
// its turn.
func (w *Writer) drain() error {
	w.retry = nil
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
			w.written = 0
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
		whole := bytes.Count(w.batch[w.written:w.written+n], []byte{'\n'})
		w.written += n
		w.mu.Lock()
		w.stats.Written += uint64(whole)
		if err != nil {
			w.stats.Failed++
		}
		w.mu.Unlock()
		if err != nil {
			w.retry = time.After(w.config.Retry)
			w.tell(err, 0)
			return err
		}
	}
}

// rotate changes to a new file. A line that is only partly in the old one is
// written whole into the new one.
func (w *Writer) rotate() error {
	if w.file == nil {
		return w.drain()
	}
	failed := w.drain()
	file, err := openLog(w.path)
	if err != nil {
		w.mu.Lock()
		w.stats.Failed++
		w.mu.Unlock()
		w.tell(err, 0)
		return err
	}
	err = w.shut()
	w.file, w.log = file, file
	if failed != nil {
		w.written = bytes.LastIndexByte(w.batch[:w.written], '\n') + 1
		failed = w.drain()
	}
	return errors.Join(failed, err)
}

func (w *Writer) shut() error {
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
