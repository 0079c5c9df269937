package token

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// A million tokens that are all valid leave behind what the cache may hold, and no
// more.
func TestMillionTokensAreBounded(t *testing.T) {
	const size, tokens = 4096, 1_000_000
	// An entry, its principal, and its part of a map, generously.
	const perEntry = 1024
	now := time.Unix(1_800_000_000, 0)
	c, k, i := newCache(size), &key{}, &issuer{}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := range uint64(tokens) {
		var digest [32]byte
		binary.LittleEndian.PutUint64(digest[:], n)
		c.put(&digest, &entry{principal: &identity.Principal{Subject: "s", Tenant: "t"}, issuer: i, key: k, until: now.Unix() + 3600}, now)
	}
	after := heap()
	if n := c.len(); n > size || n < size/2 {
		t.Errorf("%d tokens are kept, at most %d should be", n, size)
	}
	if grown := int64(after) - int64(before); grown > size*perEntry {
		t.Errorf("%d bytes more after %d tokens", grown, tokens)
	}
	if got := c.evicted.Load(); got < tokens-2*size {
		t.Errorf("%d were evicted", got)
	}
}
