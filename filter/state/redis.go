package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/session"
)

// Redis keeps state in a Redis, or on one node of a Redis Cluster. What was revoked is a
// stream that each process waits at, so that news is there at once and none is missed.
// Expiry goes by the clock of Redis.
type Redis struct {
	client redis.UniversalClient
	prefix string
	now    func() time.Time
}

// NewRedis returns the state in a Redis. All its keys start with prefix; those who have
// the same one share their state. It does not connect before it is used. [Redis.Close]
// closes the client.
func NewRedis(client redis.UniversalClient, prefix string, now func() time.Time) *Redis {
	// What is in braces decides the node of a cluster: the scripts need all on one.
	return &Redis{client: client, prefix: "{" + prefix + ":state}:", now: now}
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

func (r *Redis) log() string               { return r.prefix + "revoked" }
func (r *Redis) sessions() string          { return r.prefix + "sessions" }
func (r *Redis) session(id string) string  { return r.prefix + "session:" + id }
func (r *Redis) owner(owner string) string { return r.prefix + "owner:" + owner }

// now is milliseconds of Unix time by the clock of Redis; keep writes a session and both
// lists that it is on, which go by themselves when the last in them has expired.
const (
	scriptNow = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`
	scriptKeep = `
local function keep(sessions, owner, id, ttl)
  local at = string.format('%.0f', now + ttl)
  redis.call('ZADD', sessions, at, id)
  redis.call('ZREMRANGEBYSCORE', owner, '-inf', now)
  redis.call('ZADD', owner, at, id)
  for _, list in ipairs({sessions, owner}) do
    redis.call('PEXPIREAT', list, redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')[2])
  end
end
`
)

var (
	addScript = redis.NewScript(`
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
for i = 2, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
return 1
`)
	insertScript = redis.NewScript(scriptNow + scriptKeep + `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 1 end
if not redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3], 'NX') then return 2 end
keep(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
return 0
`)
	replaceScript = redis.NewScript(scriptNow + scriptKeep + `
if redis.call('GET', KEYS[3]) ~= ARGV[5] then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
keep(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('XADD', KEYS[4], '*', 'e', ARGV[4]) end
return 1
`)
	endScript = redis.NewScript(`
local ended = {}
for i = 3, #KEYS do
  ended[i-2] = redis.call('DEL', KEYS[i])
  if ended[i-2] == 1 then
    redis.call('ZREM', KEYS[1], ARGV[2*(i-2)-1])
    redis.call('XADD', KEYS[2], '*', 'e', ARGV[2*(i-2)])
  end
end
return ended
`)
)

func failed(err error) error { return fmt.Errorf("state: Redis: %w", err) }

// Add implements [revocation.Log].
func (r *Redis) Add(ctx context.Context, entries ...revocation.Entry) error {
	for len(entries) > 0 {
		some := entries[:min(len(entries), 500)]
		args := []any{revocation.MaxEntries}
		for i := range some {
			if err := some[i].Valid(); err != nil {
				return err
			}
			args = append(args, some[i].Marshal())
		}
		done, err := addScript.Run(ctx, r.client, []string{r.log()}, args...).Int()
		if err != nil {
			return failed(err)
		}
		if done == 0 {
			return revocation.ErrFull
		}
		entries = entries[len(some):]
	}
	return nil
}

// Read implements [revocation.Log].
func (r *Redis) Read(ctx context.Context, after string, wait time.Duration) (revocation.Page, error) {
	if after == "" {
		after = "0-0"
	}
	block := time.Duration(-1) // not at all
	if wait > 0 {
		block = max(wait, time.Millisecond) // zero would be for ever
	}
	page := revocation.Page{Next: after}
	streams, err := r.client.XRead(ctx, &redis.XReadArgs{Streams: []string{r.log(), after}, Count: pageSize, Block: block}).Result()
	if errors.Is(err, redis.Nil) {
		return page, nil
	}
	if err != nil {
		return page, failed(err)
	}
	for _, stream := range streams {
		for _, m := range stream.Messages {
			text, _ := m.Values["e"].(string)
			e, err := revocation.Parse(text)
			if err != nil {
				return page, fmt.Errorf("%w: %s of %s", err, m.ID, r.log())
			}
			page.Next = m.ID
			page.Entries = append(page.Entries, revocation.Placed{Entry: e, Position: m.ID})
		}
	}
	page.More = len(page.Entries) == pageSize
	return page, nil
}

// Remove implements [revocation.Log].
func (r *Redis) Remove(ctx context.Context, positions ...string) error {
	if err := r.client.XDel(ctx, r.log(), positions...).Err(); err != nil {
		return failed(err)
	}
	return nil
}

// life is for how long Redis keeps a session, in milliseconds.
func life(s session.Stored) int64 { return max(s.Life.Milliseconds()+1, 1) }

// Insert implements [session.Backend].
func (r *Redis) Insert(ctx context.Context, s session.Stored, limit int) error {
	keys := []string{r.sessions(), r.owner(s.Owner), r.session(s.ID)}
	answer, err := insertScript.Run(ctx, r.client, keys, s.ID, s.Data, life(s), limit).Int()
	switch {
	case err != nil:
		return failed(err)
	case answer == 1:
		return session.ErrFull
	case answer == 2:
		return session.ErrTaken
	}
	return nil
}

// Replace implements [session.Backend].
func (r *Redis) Replace(ctx context.Context, old []byte, next session.Stored, tell bool) (bool, error) {
	note := ""
	if tell {
		e := changed(next.ID, r.now())
		note = e.Marshal()
	}
	keys := []string{r.sessions(), r.owner(next.Owner), r.session(next.ID), r.log()}
	done, err := replaceScript.Run(ctx, r.client, keys, next.ID, next.Data, life(next), note, old).Int()
	if err != nil {
		return false, failed(err)
	}
	return done == 1, nil
}

// Load implements [session.Backend].
func (r *Redis) Load(ctx context.Context, id string) ([]byte, error) {
	data, err := r.client.Get(ctx, r.session(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	return data, nil
}

// Of implements [session.Backend].
func (r *Redis) Of(ctx context.Context, owner string) ([][]byte, error) {
	return r.list(ctx, r.owner(owner), -1)
}

// All implements [session.Backend].
func (r *Redis) All(ctx context.Context, limit int) ([][]byte, error) {
	return r.list(ctx, r.sessions(), limit)
}

// list returns the sessions on a list, those that expire last first, and passes over
// those that are gone.
func (r *Redis) list(ctx context.Context, key string, limit int) ([][]byte, error) {
	last := int64(-1)
	if limit >= 0 {
		last = int64(limit) - 1
	}
	ids, err := r.client.ZRevRange(ctx, key, 0, last).Result()
	if err != nil {
		return nil, failed(err)
	}
	var all [][]byte
	for len(ids) > 0 {
		some := ids[:min(len(ids), 1000)]
		keys := make([]string, len(some))
		for i, id := range some {
			keys[i] = r.session(id)
		}
		values, err := r.client.MGet(ctx, keys...).Result()
		if err != nil {
			return nil, failed(err)
		}
		for _, v := range values {
			if data, ok := v.(string); ok {
				all = append(all, []byte(data))
			}
		}
		ids = ids[len(some):]
	}
	return all, nil
}

// End implements [session.Backend].
func (r *Redis) End(ctx context.Context, ids ...string) ([]string, error) {
	keys, args := []string{r.sessions(), r.log()}, make([]any, 0, 2*len(ids))
	for _, id := range ids {
		e := ended(id, r.now())
		keys, args = append(keys, r.session(id)), append(args, id, e.Marshal())
	}
	answer, err := endScript.Run(ctx, r.client, keys, args...).Int64Slice()
	if err != nil {
		return nil, failed(err)
	}
	var gone []string
	for i, n := range answer {
		if n == 1 && i < len(ids) {
			gone = append(gone, ids[i])
		}
	}
	return gone, nil
}

// Len implements [session.Backend].
func (r *Redis) Len(ctx context.Context) (int, error) {
	n, err := r.client.ZCount(ctx, r.sessions(), fmt.Sprintf("(%d", r.now().UnixMilli()), "+inf").Result()
	if err != nil {
		return 0, failed(err)
	}
	return int(n), nil
}
