package revocation

import (
	"context"
	"errors"
	"time"
)

// Log is where revocations are kept, in the order in which they were made, for all
// processes. It is safe for concurrent use. After an error what was asked for may have
// been done or not.
type Log interface {
	// Add adds entries. The error is [ErrFull] when MaxEntries are kept already.
	Add(ctx context.Context, entries ...Entry) error
	// Read returns what was added behind the position after, in order, from the start
	// with "". When there is nothing it waits for something, for wait at most.
	Read(ctx context.Context, after string, wait time.Duration) (Page, error)
	// Remove removes the entries at positions, as far as they are there.
	Remove(ctx context.Context, positions ...string) error
}

// Page is a part of a log.
type Page struct {
	Entries []Placed
	// Next is the position behind it. It is never "".
	Next string
	// More says that there is more behind it already.
	More bool
}

// Placed is an entry with its position in a log.
type Placed struct {
	Entry
	Position string
}

// MaxEntries is the number of entries in a log to which no more are added.
const MaxEntries = 1_000_000

// ErrFull is that no more can be revoked until something is too old to matter.
var ErrFull = errors.New("revocation: a million revocations are kept already")
