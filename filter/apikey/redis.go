package apikey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.yaml.in/yaml/v3"
)

// Redis keeps the records of keys in a Redis: in one hash by id, beside one that changes
// with each of them. A record is sealed with the pepper, so that who can write to the
// Redis can take keys away but not widen what they grant. (An older record of the same key
// can be put back.) It is safe for concurrent use.
type Redis struct {
	client redis.UniversalClient
	pepper []byte

	records, changes, used string // names of keys, all on one node of a cluster
}

// NewRedis returns the keys under a prefix. Instances with the same prefix and pepper
// share them.
func NewRedis(client redis.UniversalClient, prefix string, pepper []byte) (*Redis, error) {
	if len(pepper) < MinPepper {
		return nil, errPepper
	}
	name := "{" + prefix + ":keys}:"
	return &Redis{client: client, pepper: pepper, records: name + "records", changes: name + "changes", used: name + "used"}, nil
}

// put replaces the record of an id, if it is still the one that was read ("" for none).
var put = redis.NewScript(`
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[2], 'number', 1)
redis.call('HSET', KEYS[2], 'last', ARGV[4])
return 1`)

// keepLatest takes pairs of an id and a time, and keeps of each id the latest.
var keepLatest = redis.NewScript(`
for i = 1, #ARGV, 2 do
  if tonumber(ARGV[i + 1]) > tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0') then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 0`)

// errRecord is that a record is not one that this package wrote with this pepper.
var errRecord = errors.New("apikey: a record is malformed, or was not written with this pepper")

// seal encodes a record.
func (s *Redis) seal(r *Record) (string, error) {
	b, err := yaml.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("apikey: %w", err)
	}
	return s.sum(r.ID, string(b)) + "\n" + string(b), nil
}

func (s *Redis) sum(id, text string) string {
	h := hmac.New(sha256.New, s.pepper)
	_, _ = io.WriteString(h, "memgate api key record v1\x00"+id+"\x00"+text)
	return hex.EncodeToString(h.Sum(nil))
}

// open decodes the record of an id.
func (s *Redis) open(id, sealed string) (*Record, error) {
	sum, text, _ := strings.Cut(sealed, "\n")
	if len(sealed) > maxRecord || !hmac.Equal([]byte(sum), []byte(s.sum(id, text))) {
		return nil, errRecord
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	r := new(Record)
	if err := d.Decode(r); err != nil || r.valid() != nil || r.ID != id {
		return nil, errRecord
	}
	return r, nil
}

// maxRecord is the length of a sealed record in bytes: the most scopes, and the rest.
const maxRecord = 64 << 10

// sealLength is the length of the seal in front of a record.
const sealLength = 2 * sha256.Size

// get returns the record of an id and its sealed form, or nil and "" when there is none, and
// the generation that it is of at least.
func (s *Redis) get(ctx context.Context, id string) (r *Record, sealed, generation string, err error) {
	var state *redis.SliceCmd
	var record *redis.StringCmd
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		state = p.HMGet(ctx, s.changes, "number", "last")
		record = p.HGet(ctx, s.records, id)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", "", fmt.Errorf("apikey: %w", err)
	}
	generation = fmt.Sprint(state.Val()...)
	if sealed, err = record.Result(); errors.Is(err, redis.Nil) {
		return nil, "", generation, nil
	}
	if err != nil {
		return nil, "", "", fmt.Errorf("apikey: %w", err)
	}
	r, err = s.open(id, sealed)
	return r, sealed, generation, err
}

// Generation changes with each change of a record. It is another after the Redis was emptied
// and filled again, too.
func (s *Redis) Generation(ctx context.Context) (string, error) {
	state, err := s.client.HMGet(ctx, s.changes, "number", "last").Result()
	if err != nil {
		return "", fmt.Errorf("apikey: %w", err)
	}
	return fmt.Sprint(state...), nil
}

func (s *Redis) put(ctx context.Context, r *Record, old string) (bool, error) {
	sealed, err := s.seal(r)
	if err != nil {
		return false, err
	}
	n, err := put.Run(ctx, s.client, []string{s.records, s.changes}, r.ID, old, sealed, sealed[:sealLength]).Int()
	if err != nil {
		return false, fmt.Errorf("apikey: %w", err)
	}
	return n == 1, nil
}

// Create issues a key, as the function of that name does for a file.
func (s *Redis) Create(ctx context.Context, env Environment, grant Record, random io.Reader, now func() time.Time) (Record, string, error) {
	return issue(env, s.pepper, grant, random, now, func(r Record) error {
		ok, err := s.put(ctx, &r, "")
		if err == nil && !ok {
			err = errTaken
		}
		return err
	})
}

// Revoke makes the key called id be refused from the time at on, as the function of that
// name does for a file.
func (s *Redis) Revoke(ctx context.Context, id string, at time.Time) (Record, error) {
	for {
		r, old, _, err := s.get(ctx, id)
		if err != nil {
			return Record{}, err
		}
		if r == nil {
			return Record{}, ErrUnknownID
		}
		r.Revoked = earliest(r.Revoked, at.UTC().Truncate(time.Second))
		if ok, err := s.put(ctx, r, old); ok || err != nil {
			return *r, err
		}
		// Someone else has changed it meanwhile.
	}
}

// Each visits all records, in no order. One that is put in meanwhile may be left out.
func (s *Redis) Each(ctx context.Context, visit func(*Record)) error {
	var cursor uint64
	for {
		pairs, next, err := s.client.HScan(ctx, s.records, cursor, "", 500).Result()
		if err != nil {
			return fmt.Errorf("apikey: %w", err)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			r, err := s.open(pairs[i], pairs[i+1])
			if err != nil {
				return err
			}
			visit(r)
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// List returns all records in the order of their making.
func (s *Redis) List(ctx context.Context) ([]Record, error) {
	byID := make(map[string]Record) // a scan may meet one twice
	if err := s.Each(ctx, func(r *Record) { byID[r.ID] = *r }); err != nil {
		return nil, err
	}
	return sorted(byID), nil
}

// usedBatch is how many times go to the Redis at once.
const usedBatch = 500

// PutUsed keeps when keys were used last, if that is later than what is known.
func (s *Redis) PutUsed(ctx context.Context, used map[string]time.Time) error {
	var args []any
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		err := keepLatest.Run(ctx, s.client, []string{s.used}, args...).Err()
		args = args[:0]
		if err != nil {
			return fmt.Errorf("apikey: %w", err)
		}
		return nil
	}
	for id, at := range used {
		if args = append(args, id, at.Unix()); len(args) == 2*usedBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Used returns when keys were used last, as far as that was put away.
func (s *Redis) Used(ctx context.Context) (map[string]time.Time, error) {
	used := make(map[string]time.Time)
	var cursor uint64
	for {
		pairs, next, err := s.client.HScan(ctx, s.used, cursor, "", 500).Result()
		if err != nil {
			return nil, fmt.Errorf("apikey: %w", err)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if n, err := strconv.ParseInt(pairs[i+1], 10, 64); err == nil {
				used[pairs[i]] = time.Unix(n, 0)
			}
		}
		if cursor = next; cursor == 0 {
			return used, nil
		}
	}
}
