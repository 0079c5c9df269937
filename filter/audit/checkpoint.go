package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Errors of a checkpoint.
var (
	// ErrCheckpoint: a line is no checkpoint, or contradicts itself.
	ErrCheckpoint = errors.New("audit: not a checkpoint")
	// ErrSignature: a checkpoint is not signed by the key.
	ErrSignature = errors.New("audit: the checkpoint is not signed by this key")
)

// maxCheckpoint bounds a line of a checkpoint file, in bytes.
const maxCheckpoint = 16 << 10

// checkpoint says what the first entries of a log are. It is signed as a note
// (golang.org/x/mod/sumdb/note) whose text is
//
//	memgate-audit/<the log's id>
//	<number of entries>
//	<root of their tree, base64>
//	time <RFC 3339>
//	edge <hashes of the complete subtrees, largest first, base64>
//	adopted <number of entries that a crash had left without a checkpoint>
//	closed
//
// The last two lines only stand there when they say something. One line of the
// checkpoint file holds it, as a JSON object.
type checkpoint struct {
	origin  string
	tree    tree
	time    time.Time
	adopted int64
	closed  bool
	// offset is where in the log the next entry follows. It is not signed, and
	// only a hint.
	offset int64
}

type checkpointLine struct {
	Size   int64  `json:"size"`
	Time   string `json:"time"`
	Offset int64  `json:"offset"`
	Note   string `json:"note"`
}

// line signs the checkpoint and returns it as a line.
func (c *checkpoint) line(key Key) ([]byte, error) {
	var b strings.Builder
	when := c.time.UTC().Format(time.RFC3339Nano)
	root := c.tree.root()
	fmt.Fprintf(&b, "%s\n%d\n%s\ntime %s\n", c.origin, c.tree.size, root, when)
	edge := make([]byte, 0, len(c.tree.edge)*tlog.HashSize)
	for _, h := range c.tree.edge {
		edge = append(edge, h[:]...)
	}
	fmt.Fprintf(&b, "edge %s\n", base64.StdEncoding.EncodeToString(edge))
	if c.adopted > 0 {
		fmt.Fprintf(&b, "adopted %d\n", c.adopted)
	}
	if c.closed {
		b.WriteString("closed\n")
	}
	signed, err := note.Sign(&note.Note{Text: b.String()}, key)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	out, err := json.Marshal(checkpointLine{Size: c.tree.size, Time: when, Offset: c.offset, Note: string(signed)})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return append(out, '\n'), nil
}

// parseCheckpoint reads a line and checks its signature and that its root is that
// of its edge.
func parseCheckpoint(line []byte, verifier note.Verifier) (*checkpoint, error) {
	var l checkpointLine
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || dec.More() {
		return nil, ErrCheckpoint
	}
	// One way to write it: nothing but the offset may change unseen.
	if again, err := json.Marshal(l); err != nil || !bytes.Equal(again, line) {
		return nil, ErrCheckpoint
	}
	opened, err := note.Open([]byte(l.Note), note.VerifierList(verifier))
	if err != nil {
		if _, malformed := err.(*note.UnverifiedNoteError); malformed {
			return nil, ErrSignature
		}
		if _, invalid := err.(*note.InvalidSignatureError); invalid {
			return nil, ErrSignature
		}
		return nil, ErrCheckpoint
	}
	for _, sig := range opened.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return nil, ErrCheckpoint
		}
	}
	if len(opened.UnverifiedSigs) > 0 {
		return nil, ErrCheckpoint
	}
	rest := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(rest) < 5 || !strings.HasPrefix(rest[0], KeyName+"/") {
		return nil, ErrCheckpoint
	}
	c := &checkpoint{origin: rest[0], offset: l.Offset}
	if c.tree.size, err = strconv.ParseInt(rest[1], 10, 64); err != nil || c.tree.size != l.Size {
		return nil, ErrCheckpoint
	}
	root, err := tlog.ParseHash(rest[2])
	if err != nil {
		return nil, ErrCheckpoint
	}
	for _, text := range rest[3:] {
		name, value, _ := strings.Cut(text, " ")
		switch name {
		case "time":
			if c.time, err = time.Parse(time.RFC3339Nano, value); err != nil || value != l.Time {
				return nil, ErrCheckpoint
			}
		case "edge":
			raw, err := base64.StdEncoding.DecodeString(value)
			if err != nil || len(raw)%tlog.HashSize != 0 {
				return nil, ErrCheckpoint
			}
			for ; len(raw) > 0; raw = raw[tlog.HashSize:] {
				c.tree.edge = append(c.tree.edge, tlog.Hash(raw[:tlog.HashSize]))
			}
		case "adopted":
			if c.adopted, err = strconv.ParseInt(value, 10, 64); err != nil {
				return nil, ErrCheckpoint
			}
		case "closed":
			c.closed = true
		default:
			return nil, ErrCheckpoint
		}
	}
	if !c.tree.whole() || c.tree.root() != root || c.adopted < 0 || c.adopted > c.tree.size {
		return nil, ErrCheckpoint
	}
	return c, nil
}
