package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"
	"sort"

	"github.com/memgate/memgate/memory-backend/search"
)

// The inverted index is a table of blocks: the postings of a term, sorted by document, cut into runs of
// at most blockSize. A block is found by the hash of its term and a lower bound of its documents. An own
// index rather than FTS5, because here terms are hashes, a deleted one is gone from the file at once, and
// common words do not rank below nothing in small collections.
const blockSize = 192

const (
	sqlBlockFor = `SELECT first, data FROM postings WHERE term = ? AND first <= ? ORDER BY first DESC LIMIT 1`
	sqlPutBlock = `INSERT INTO postings (term, first, data) VALUES (?, ?, ?)
		ON CONFLICT (term, first) DO UPDATE SET data = excluded.data`
	sqlDropBlock = `DELETE FROM postings WHERE term = ? AND first = ?`
	sqlBlocks    = `SELECT first, data FROM postings WHERE term = ? ORDER BY first`
	sqlStats     = `UPDATE stats SET docs = docs + ?, terms = terms + ?`
)

// indexChange collects what a write does to the index.
type indexChange struct {
	add    map[string][]search.Posting
	remove map[string][]int64
	docs   int
	terms  int
}

func (c *indexChange) addDocument(doc int64, text string) {
	counts, length := search.Document(text)
	if c.add == nil {
		c.add = make(map[string][]search.Posting, len(counts))
	}
	for term, n := range counts {
		c.add[term] = append(c.add[term], search.Posting{Doc: doc, Count: uint32(n), Len: uint32(length)})
	}
	c.docs++
	c.terms += length
}

// removeDocument takes out a document by the text that it was indexed with.
func (c *indexChange) removeDocument(doc int64, text string) {
	counts, length := search.Document(text)
	if c.remove == nil {
		c.remove = make(map[string][]int64, len(counts))
	}
	for term := range counts {
		c.remove[term] = append(c.remove[term], doc)
	}
	c.docs--
	c.terms -= length
}

// apply writes the change. Terms are visited in the order of their hashes, which is that of the table.
func (c *indexChange) apply(ctx context.Context, t *writeTx) error {
	gone, err := byHash(t.keys, c.remove)
	if err != nil {
		return err
	}
	for _, g := range gone {
		slices.Sort(g.value)
		if err := removePostings(ctx, t, g.term, g.value); err != nil {
			return err
		}
	}
	added, err := byHash(t.keys, c.add)
	if err != nil {
		return err
	}
	for _, a := range added {
		slices.SortFunc(a.value, func(a, b search.Posting) int { return int(a.Doc - b.Doc) })
		if err := addPostings(ctx, t, a.term, a.value); err != nil {
			return err
		}
	}
	if c.docs == 0 && c.terms == 0 {
		return nil
	}
	return t.exec(ctx, sqlStats, c.docs, c.terms)
}

// hashedTerm is what the index is told of one term.
type hashedTerm[V any] struct {
	term  []byte // hash
	value V
}

// byHash replaces terms by their hashes, and sorts by these.
func byHash[V any](k sealer, terms map[string]V) ([]hashedTerm[V], error) {
	list := make([]hashedTerm[V], 0, len(terms))
	for term, v := range terms {
		h, err := k.Hash(hashTerm, term)
		if err != nil {
			return nil, err
		}
		list = append(list, hashedTerm[V]{h, v})
	}
	slices.SortFunc(list, func(a, b hashedTerm[V]) int { return bytes.Compare(a.term, b.term) })
	return list, nil
}

// block loads the block in which a document of a term belongs.
func block(ctx context.Context, t *writeTx, term []byte, doc int64) (first int64, list []search.Posting, found bool, err error) {
	row, err := t.row(ctx, sqlBlockFor, term, doc)
	if err != nil {
		return 0, nil, false, err
	}
	var data []byte
	if err := row.Scan(&first, &data); errors.Is(err, sql.ErrNoRows) {
		return 0, nil, false, nil
	} else if err != nil {
		return 0, nil, false, err
	}
	list, err = search.DecodePostings(make([]search.Posting, 0, blockSize+1), first, data)
	return first, list, true, err
}

func putBlock(ctx context.Context, t *writeTx, term []byte, first int64, list []search.Posting) error {
	return t.exec(ctx, sqlPutBlock, term, first, search.AppendPostings(nil, first, list))
}

// addPostings adds the postings of one term. They are either a single one or all newer than any other.
func addPostings(ctx context.Context, t *writeTx, term []byte, add []search.Posting) error {
	first, list, found, err := block(ctx, t, term, add[0].Doc)
	if err != nil {
		return err
	}
	if !found {
		first = add[0].Doc
	}
	if found && len(list) >= blockSize && list[len(list)-1].Doc < add[0].Doc {
		first, list = add[0].Doc, nil // full: the rest starts a new block
	}
	for _, p := range add {
		at := sort.Search(len(list), func(i int) bool { return list[i].Doc >= p.Doc })
		if at < len(list) && list[at].Doc == p.Doc {
			list[at] = p
		} else {
			list = slices.Insert(list, at, p)
		}
	}
	for len(list) > blockSize {
		if err := putBlock(ctx, t, term, first, list[:blockSize]); err != nil {
			return err
		}
		list = list[blockSize:]
		first = list[0].Doc
	}
	return putBlock(ctx, t, term, first, list)
}

// removePostings removes documents, which must be sorted, from one term.
func removePostings(ctx context.Context, t *writeTx, term []byte, docs []int64) error {
	for len(docs) > 0 {
		// The last one first: every other in the same block goes with it.
		last := docs[len(docs)-1]
		first, list, found, err := block(ctx, t, term, last)
		if err != nil {
			return err
		}
		if !found {
			return nil
		}
		from := sort.Search(len(docs), func(i int) bool { return docs[i] >= first })
		gone := docs[from:]
		docs = docs[:from]
		list = slices.DeleteFunc(list, func(p search.Posting) bool {
			_, hit := slices.BinarySearch(gone, p.Doc)
			return hit
		})
		if len(list) == 0 {
			err = t.exec(ctx, sqlDropBlock, term, first)
		} else {
			err = putBlock(ctx, t, term, first, list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// postings reads all postings of a term into blocks.
func postings(ctx context.Context, t *readTx, into *search.Blocks, term []byte) error {
	into.Reset()
	rows, err := t.rows(ctx, sqlBlocks, term)
	if err != nil {
		return err
	}
	defer rows.Close()
	var data sql.RawBytes
	for rows.Next() {
		var first int64
		if err := rows.Scan(&first, &data); err != nil {
			return err
		}
		into.Append(first, data)
	}
	return rows.Err()
}

// reindex makes the index anew from the memories.
func reindex(ctx context.Context, t *writeTx) error {
	if err := t.exec(ctx, `DELETE FROM postings`); err != nil {
		return err
	}
	if err := t.exec(ctx, `UPDATE stats SET docs = 0, terms = 0, analysis = ?`, search.Version); err != nil {
		return err
	}
	const step = 500
	for after := int64(0); ; {
		rows, err := t.tx.QueryContext(ctx, `SELECT m.seq, `+columns+` FROM memories AS m WHERE m.seq > ? ORDER BY m.seq LIMIT ?`, after, step)
		if err != nil {
			return err
		}
		found, err := scanAll(rows, t.tenant, t.keys)
		if err != nil || len(found) == 0 {
			return err
		}
		var c indexChange
		for _, m := range found {
			c.addDocument(m.Seq, m.IndexText())
			after = m.Seq
		}
		if err := c.apply(ctx, t); err != nil {
			return err
		}
	}
}
