package audit

import (
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// The edge gives the roots that tlog computes from all stored hashes.
func TestTreeIsThatOfTlog(t *testing.T) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	})
	var tr tree
	for n := range int64(300) {
		want, err := tlog.TreeHash(n, reader)
		must(t, err)
		if tr.root() != want || !tr.whole() {
			t.Fatalf("%d leaves: root %s, want %s", n, tr.root(), want)
		}
		data := []byte(strconv.FormatInt(n, 10))
		hashes, err := tlog.StoredHashes(n, data, reader)
		must(t, err)
		stored = append(stored, hashes...)
		tr.add(tlog.RecordHash(data))
	}
	if len(tr.edge) > 9 {
		t.Errorf("the edge of 300 leaves has %d hashes", len(tr.edge))
	}
}
