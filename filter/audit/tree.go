package audit

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is the right edge of a Merkle tree (RFC 6962, section 2.1): the hashes of
// its complete subtrees, largest first. That is all it takes to add leaves and to
// know the root, so its memory grows with the logarithm of its size.
type tree struct {
	size int64
	edge []tlog.Hash
}

// add appends a leaf.
func (t *tree) add(leaf tlog.Hash) {
	t.edge = append(t.edge, leaf)
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.edge) - 1
		t.edge[last-1] = tlog.NodeHash(t.edge[last-1], t.edge[last])
		t.edge = t.edge[:last]
	}
	t.size++
}

// root is the hash of the whole tree.
func (t *tree) root() tlog.Hash {
	if len(t.edge) == 0 {
		return sha256.Sum256(nil)
	}
	hash := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		hash = tlog.NodeHash(t.edge[i], hash)
	}
	return hash
}

// clone returns a tree that grows by itself.
func (t *tree) clone() tree {
	return tree{t.size, append([]tlog.Hash(nil), t.edge...)}
}

// whole reports whether the edge has as many hashes as a tree of that size has.
func (t *tree) whole() bool {
	return t.size >= 0 && len(t.edge) == bits.OnesCount64(uint64(t.size))
}
