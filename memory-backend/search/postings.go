package search

import (
	"encoding/binary"
	"errors"
)

// Posting says that a term occurs in a document.
type Posting struct {
	Doc   int64  // the document's number; positive
	Count uint32 // how often the term occurs in it
	Len   uint32 // how many terms it has
}

// ErrCorrupt is returned for encoded postings that AppendPostings cannot have written.
var ErrCorrupt = errors.New("search: corrupt postings")

// AppendPostings encodes postings, which must be sorted by document without repetition, and appends them
// to dst: varints of the distance from the previous document (the first from base), count and length.
func AppendPostings(dst []byte, base int64, postings []Posting) []byte {
	for _, p := range postings {
		dst = binary.AppendUvarint(dst, uint64(p.Doc-base))
		dst = binary.AppendUvarint(dst, uint64(p.Count))
		dst = binary.AppendUvarint(dst, uint64(p.Len))
		base = p.Doc
	}
	return dst
}

// DecodePostings decodes what AppendPostings wrote for this base and appends it to dst.
func DecodePostings(dst []Posting, base int64, data []byte) ([]Posting, error) {
	for len(data) > 0 {
		var v [3]uint64
		for i := range v {
			if data[0] < 0x80 {
				v[i], data = uint64(data[0]), data[1:]
			} else {
				x, n := binary.Uvarint(data)
				if n <= 0 {
					return dst, ErrCorrupt
				}
				v[i], data = x, data[n:]
			}
			if i < 2 && len(data) == 0 {
				return dst, ErrCorrupt
			}
		}
		if v[0] > 1<<62 || v[1] > 1<<32-1 || v[2] > 1<<32-1 {
			return dst, ErrCorrupt
		}
		base += int64(v[0])
		if base < 0 {
			return dst, ErrCorrupt
		}
		dst = append(dst, Posting{Doc: base, Count: uint32(v[1]), Len: uint32(v[2])})
	}
	return dst, nil
}

// Blocks are the encoded postings of one term, in runs that each start from a document of their own. It can
// be reused for another term.
type Blocks struct {
	data []byte
	runs []run
}

type run struct {
	base int64
	end  int // in data
}

// Reset empties the blocks.
func (b *Blocks) Reset() { b.data, b.runs = b.data[:0], b.runs[:0] }

// Append adds what AppendPostings wrote for this base. It keeps a copy.
func (b *Blocks) Append(base int64, data []byte) {
	b.data = append(b.data, data...)
	b.runs = append(b.runs, run{base, len(b.data)})
}

// count returns how many postings there are: three numbers each, whose last byte is below 0x80.
func (b *Blocks) count() int {
	n := 0
	for _, c := range b.data {
		n += int(^c >> 7)
	}
	return n / 3
}

// each calls do with every posting, in order.
func (b *Blocks) each(do func(Posting)) error {
	from := 0
	for _, r := range b.runs {
		data, doc := b.data[from:r.end], r.base
		from = r.end
		for len(data) > 0 {
			// Nearly all are three single bytes.
			if len(data) >= 3 && data[0]|data[1]|data[2] < 0x80 {
				doc += int64(data[0])
				do(Posting{doc, uint32(data[1]), uint32(data[2])})
				data = data[3:]
				continue
			}
			var v [3]uint64
			for i := range v {
				x, n := binary.Uvarint(data)
				if n <= 0 {
					return ErrCorrupt
				}
				v[i], data = x, data[n:]
			}
			if v[0] > 1<<62 || v[1] > 1<<32-1 || v[2] > 1<<32-1 {
				return ErrCorrupt
			}
			if doc += int64(v[0]); doc < 0 {
				return ErrCorrupt
			}
			do(Posting{doc, uint32(v[1]), uint32(v[2])})
		}
	}
	return nil
}
