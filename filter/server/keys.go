package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/policy"
)

// pepperBytes is the length of a new pepper before it is written as hex.
const pepperBytes = 32

// ErrNoKeys is returned when a policy does not accept API keys.
var ErrNoKeys = errors.New("the policy has no identity.api_keys")

// Keys is where a policy keeps the hashes of API keys and their pepper: in a file
// or in a Redis.
type Keys struct {
	Path   string // of the file; "" with a Redis
	pepper policy.Secret
	policy *policy.Policy
}

// KeysOf returns where p keeps its API keys, or [ErrNoKeys].
func KeysOf(p *policy.Policy) (Keys, error) {
	section := p.Identity.APIKeys
	if section == nil {
		return Keys{}, ErrNoKeys
	}
	if section.Redis != "" {
		return Keys{pepper: section.Pepper, policy: p}, nil
	}
	path, ok := strings.CutPrefix(string(section.File), "file:")
	if !ok {
		return Keys{}, fmt.Errorf("identity.api_keys.file: %s is not of the form file:PATH", section.File)
	}
	pepper := section.Pepper
	if pepper == "" {
		pepper = policy.Secret("file:" + path + ".pepper")
	}
	return Keys{Path: p.Path(path), pepper: pepper, policy: p}, nil
}

// environment is the one whose keys the policy accepts.
func (k Keys) environment() apikey.Environment {
	if k.policy.Environment == "production" {
		return apikey.Production
	}
	return apikey.Development
}

// Open reads the keys of the file.
func (k Keys) Open(now func() time.Time) (*apikey.Store, error) {
	pepper, err := k.policy.Resolve(k.pepper)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; 'memgate key create' makes it", err)
	}
	if err != nil {
		return nil, err
	}
	store, err := apikey.Open(k.Path, k.environment(), pepper, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; 'memgate key create' makes it", err)
	}
	return store, err
}

// redis returns the keys of the Redis. What it returns beside ends its connections. hook, which
// is told of what the Redis is asked, may be nil.
func (k Keys) redis(hook redis.Hook) (*apikey.Redis, func(), error) {
	section := k.policy.Identity.APIKeys
	pepper, err := k.policy.Resolve(k.pepper)
	if err != nil {
		return nil, nil, fmt.Errorf("identity.api_keys.pepper: %w", err)
	}
	client, err := openRedis(k.policy, section.Redis, "identity.api_keys.redis", section.Cluster, hook)
	if err != nil {
		return nil, nil, err
	}
	records, err := apikey.NewRedis(client, section.Prefix, pepper)
	if err != nil {
		_ = client.Close()
		return nil, nil, fmt.Errorf("identity.api_keys.pepper: %w", err)
	}
	return records, func() { _ = client.Close() }, nil
}

// Create issues a key, and makes the file and its pepper if this is the first.
func (k Keys) Create(ctx context.Context, grant apikey.Record, random io.Reader, now func() time.Time) (apikey.Record, string, error) {
	if k.Path == "" {
		records, done, err := k.redis(nil)
		if err != nil {
			return apikey.Record{}, "", err
		}
		defer done()
		return records.Create(ctx, k.environment(), grant, random, now)
	}
	if err := k.makePepper(random); err != nil {
		return apikey.Record{}, "", err
	}
	pepper, err := k.policy.Resolve(k.pepper)
	if err != nil {
		return apikey.Record{}, "", err
	}
	return apikey.Create(k.Path, k.environment(), pepper, grant, random, now)
}

// Revoke makes a key be refused from a time on.
func (k Keys) Revoke(ctx context.Context, id string, at time.Time) (apikey.Record, error) {
	if k.Path == "" {
		records, done, err := k.redis(nil)
		if err != nil {
			return apikey.Record{}, err
		}
		defer done()
		return records.Revoke(ctx, id, at)
	}
	return apikey.Revoke(k.Path, id, at)
}

// List returns all keys, and when each was used last as far as instances have
// put that away.
func (k Keys) List(ctx context.Context) ([]apikey.Record, map[string]time.Time, error) {
	if k.Path == "" {
		records, done, err := k.redis(nil)
		if err != nil {
			return nil, nil, err
		}
		defer done()
		list, err := records.List(ctx)
		if err != nil {
			return nil, nil, err
		}
		used, err := records.Used(ctx)
		return list, used, err
	}
	list, err := apikey.List(k.Path)
	if err != nil {
		return nil, nil, err
	}
	used, err := apikey.Used(k.Path)
	return list, used, err
}

// Rotate issues a successor with what a key grants, for as long a life, and makes the key
// itself be refused from a time on.
func (k Keys) Rotate(ctx context.Context, id string, at time.Time, random io.Reader, now func() time.Time) (old, next apikey.Record, key string, err error) {
	list, _, err := k.List(ctx)
	if err != nil {
		return old, next, "", err
	}
	i := slices.IndexFunc(list, func(r apikey.Record) bool { return r.ID == id })
	if i < 0 {
		return old, next, "", apikey.ErrUnknownID
	}
	if r := &list[i]; !r.Revoked.IsZero() && !now().Before(r.Revoked) {
		return old, next, "", fmt.Errorf("the key %s is revoked; create a new one", id)
	}
	grant := list[i]
	if grant.Subject == "" {
		grant.Subject = "key:" + id // whom the key stands for stays the same
	}
	if !grant.Expires.IsZero() {
		grant.Expires = now().Add(grant.Expires.Sub(grant.Created))
	}
	if next, key, err = k.Create(ctx, grant, random, now); err != nil {
		return old, next, "", err
	}
	old, err = k.Revoke(ctx, id, at)
	return old, next, key, err
}

// makePepper writes a pepper where the policy wants one in a file and there is
// neither that file nor a key that it would have to fit.
func (k Keys) makePepper(random io.Reader) error {
	path, ok := strings.CutPrefix(string(k.pepper), "file:")
	if !ok {
		return nil
	}
	path = k.policy.Path(path)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(k.Path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has keys but their pepper %s is gone: restore it, or delete both and issue new keys", k.Path, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	raw := make([]byte, pepperBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(raw))
	return errors.Join(err, f.Sync(), f.Close())
}

// stamp tells one state of a file from another without reading it.
type stamp struct {
	modified time.Time
	size     int64
	id       fs.FileInfo
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size(), info}
}

func (s stamp) same(t stamp) bool {
	return s.modified.Equal(t.modified) && s.size == t.size && (s.id == nil) == (t.id == nil) && (s.id == nil || os.SameFile(s.id, t.id))
}
