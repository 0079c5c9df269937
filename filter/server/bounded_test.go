package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/ratelimit"
	"github.com/memgate/memgate/filter/session"
)

// million is how many callers the tests here make up.
const million = 1_000_000

// within fails if the heap is larger by more than limit bytes after work.
func within(t *testing.T, limit int64, work func()) {
	t.Helper()
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	work()
	if grown := heap() - before; grown > limit {
		t.Errorf("%d bytes more, at most %d should be", grown, limit)
	}
}

func TestMillionTenantsAreBounded(t *testing.T) {
	const keys = 10_000
	now := time.Unix(1_800_000_000, 0)
	m := ratelimit.NewMemory(func() time.Time { return now }, keys)
	bucket := []ratelimit.Bucket{{Key: "write", Rate: ratelimit.Rate{Limit: 60, Per: time.Minute}}}
	room := make([]ratelimit.Decision, 0, 1)
	within(t, keys*1024, func() {
		for n := range million {
			if d, err := m.Take(context.Background(), "tenant-"+strconv.Itoa(n), bucket, room); err != nil || !ratelimit.Allowed(d) {
				t.Fatalf("%v %v", d, err)
			}
		}
	})
	if s := m.Stats(); s.Keys > keys || s.Forgotten < million-keys-1 {
		t.Errorf("%+v", s)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	const sessions = 5_000
	store := session.NewStore(sessions, time.Now, rand.Reader)
	refused := 0
	within(t, sessions*4096, func() {
		for n := range million {
			p := &identity.Principal{Kind: identity.KindJWT, Tenant: "t", Subject: "s" + strconv.Itoa(n), ID: "id"}
			_, _, err := store.Activate(context.Background(), p, "agent", time.Hour)
			switch {
			case identity.ReasonOf(err) == identity.ReasonSessionCapacity:
				refused++
			case err != nil:
				t.Fatal(err)
			}
			if refused == 10 {
				return // each further one looks through all of them
			}
		}
	})
	if refused == 0 {
		t.Error("no session was refused")
	}
}

// Keys that are made up leave nothing behind, and those that exist are held once.
func TestMillionAPIKeysAreBounded(t *testing.T) {
	p := parse(t, t.TempDir(), "identity: { api_keys: { file: file:keys.yaml } }")
	keys, err := KeysOf(p)
	if err != nil {
		t.Fatal(err)
	}
	_, good, err := keys.Create(context.Background(), apikey.Record{Tenant: "acme"}, rand.Reader, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	store, err := keys.Open(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.LastIndexByte(good, '_') + 1
	raw := make([]byte, 8)
	within(t, 1<<20, func() {
		for n := range uint64(million) {
			binary.BigEndian.PutUint64(raw, n)
			guess := base64.RawURLEncoding.EncodeToString(raw)
			if _, err := store.Verify(context.Background(), good[:cut]+guess+good[cut+len(guess):]); err == nil {
				t.Fatal("a guess was right")
			}
		}
	})
	if _, err := store.Verify(context.Background(), good); err != nil {
		t.Error(err)
	}
}
