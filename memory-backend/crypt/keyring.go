package crypt

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

var (
	// ErrNoKeys: there are no keys of the tenant: it does not exist, or its keys were destroyed.
	ErrNoKeys = errors.New("crypt: the tenant has no keys")
	// ErrWrongMaster: none of the given master keys unwraps the tenant's keys.
	ErrWrongMaster = errors.New("crypt: the tenant's keys were wrapped by another master key, or are damaged")
)

// FileSuffix is what the names of files with wrapped keys end with.
const FileSuffix = ".keys"

const (
	lockFile = ".lock"

	maxCached = 4096        // tenants whose keys are held unwrapped
	recheck   = time.Second // how long a look at a tenant's file counts
)

// Config says where the keys of tenants are.
type Config struct {
	Dir string // of the wrapped keys; created with mode 0700 when missing
	// Masters are the keys that unwrap; the first wraps.
	Masters []Master
	// CacheFor is how long unwrapped keys are used before the master key is asked again, which bounds how long
	// keys stay in use that a key management service no longer unwraps; 1 h when 0.
	CacheFor time.Duration
	Now      func() time.Time // required
}

// Keyring holds the keys of all tenants: wrapped on the disk, and unwrapped, for a bounded time, in memory.
// Several processes can have the same directory.
type Keyring struct {
	Config
	mu      sync.Mutex
	entries map[string]*entry
}

// entry holds the keys of one tenant.
type entry struct {
	mu      sync.Mutex // held while they are read
	tenant  *Tenant
	stamp   stamp
	loaded  time.Time // when they were unwrapped
	checked time.Time // when the file was last looked at
}

// wrapped is a tenant's file.
type wrapped struct {
	Format  int       `json:"format"`
	Tenant  string    `json:"tenant"`
	Master  string    `json:"master"` // URI
	Keys    []string  `json:"keys"`   // identifiers, the primary one first
	Created time.Time `json:"created"`
	Rotated time.Time `json:"rotated"`
	Wrapped []byte    `json:"wrapped"`
}

const format = 1

// FileName returns the name that the files of a tenant have, before a suffix: a hash, so that any string
// whatever is a safe name.
func FileName(tenant string) string {
	sum := sha256.Sum256([]byte("memgate tenant\x00" + tenant))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

// OpenKeyring prepares the directory.
func OpenKeyring(c Config) (*Keyring, error) {
	if c.Dir == "" || len(c.Masters) == 0 || c.Now == nil {
		return nil, errors.New("crypt: Dir, Masters and Now are required")
	}
	if c.CacheFor <= 0 {
		c.CacheFor = time.Hour
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("crypt: directory of keys: %w", err)
	}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("crypt: directory of keys: %w", err)
	}
	return &Keyring{Config: c, entries: make(map[string]*entry)}, nil
}

func (k *Keyring) path(tenant string) string {
	return filepath.Join(k.Dir, FileName(tenant)+FileSuffix)
}

// bound is what the wrapped keys of a tenant are bound to.
func bound(tenant string) []byte { return []byte("memgate tenant keys 1\x00" + tenant) }

// Tenant returns the keys of a tenant, or ErrNoKeys. They may be a second behind what another process
// did; with fresh set they are as the disk has them now.
func (k *Keyring) Tenant(ctx context.Context, tenant string, fresh bool) (*Tenant, error) {
	e := k.entry(tenant)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := k.Now()
	young := e.tenant != nil && now.Sub(e.loaded) < k.CacheFor
	if young && !fresh && now.Sub(e.checked) < recheck {
		return e.tenant, nil
	}
	info, err := os.Lstat(k.path(tenant))
	if err != nil {
		k.forget(tenant, e)
		e.tenant = nil
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoKeys
		}
		return nil, fmt.Errorf("crypt: keys: %w", err)
	}
	at := stampOf(info)
	if young && e.stamp.same(at) {
		e.checked = now
		return e.tenant, nil
	}
	t, _, err := k.read(ctx, tenant)
	if err != nil {
		if e.tenant == nil {
			k.forget(tenant, e)
		}
		return nil, err
	}
	e.tenant, e.stamp, e.loaded, e.checked = t, at, now, now
	return t, nil
}

func (k *Keyring) entry(tenant string) *entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entries[tenant]
	if e == nil {
		for other := range k.entries { // any one makes room
			if len(k.entries) < maxCached {
				break
			}
			delete(k.entries, other)
		}
		e = new(entry)
		k.entries[tenant] = e
	}
	return e
}

func (k *Keyring) forget(tenant string, e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries[tenant] == e {
		delete(k.entries, tenant)
	}
}

// header reads a tenant's file without unwrapping it.
func header(path string) (*wrapped, error) {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKeys
	} else if err != nil {
		return nil, fmt.Errorf("crypt: keys: %w", err)
	}
	w := new(wrapped)
	if err := json.Unmarshal(data, w); err != nil || w.Format != format {
		return nil, fmt.Errorf("%w: %s", ErrWrongMaster, filepath.Base(path))
	}
	return w, nil
}

// read reads and unwraps the keys of a tenant.
func (k *Keyring) read(ctx context.Context, tenant string) (*Tenant, *wrapped, error) {
	w, err := header(k.path(tenant))
	if err != nil {
		return nil, nil, err
	}
	if w.Tenant != tenant {
		return nil, nil, fmt.Errorf("%w: the file is another tenant's", ErrWrongMaster)
	}
	var unavailable error
	for _, named := range []bool{true, false} { // the one that the file names first
		for _, m := range k.Masters {
			if (m.URI() == w.Master) != named {
				continue
			}
			clear, err := m.DecryptWithContext(ctx, w.Wrapped, bound(tenant))
			switch {
			case err == nil:
				t, err := unmarshal(tenant, clear)
				return t, w, err
			case errors.Is(err, ErrUnavailable) && (named || unavailable == nil):
				unavailable = err
			}
		}
		if unavailable != nil {
			return nil, nil, unavailable
		}
	}
	return nil, nil, fmt.Errorf("%w: it names %s", ErrWrongMaster, w.Master)
}

// write wraps the keys of a tenant by the first master key.
func (k *Keyring) write(ctx context.Context, tenant string, t *Tenant, w wrapped, fresh bool) error {
	clear, err := t.marshal()
	if err != nil {
		return err
	}
	w.Format, w.Tenant, w.Master, w.Keys = format, tenant, k.Masters[0].URI(), t.KeyIDs()
	if w.Wrapped, err = k.Masters[0].EncryptWithContext(ctx, clear, bound(tenant)); err != nil {
		return err
	}
	data, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(k.path(tenant), append(data, '\n'), fresh); err != nil {
		return fmt.Errorf("crypt: keys: %w", err)
	}
	return nil
}

// Create returns the keys of a tenant, and makes them, durably, if it has none.
func (k *Keyring) Create(ctx context.Context, tenant string) (*Tenant, error) {
	t, err := k.Tenant(ctx, tenant, true)
	if !errors.Is(err, ErrNoKeys) {
		return t, err
	}
	if t, err = generate(tenant); err != nil {
		return nil, err
	}
	now := k.Now().UTC()
	err = k.write(ctx, tenant, t, wrapped{Created: now, Rotated: now}, true)
	if err != nil && !errors.Is(err, fs.ErrExist) { // if it exists, another was first
		return nil, err
	}
	return k.Tenant(ctx, tenant, true)
}

// change replaces the keys of a tenant.
func (k *Keyring) change(ctx context.Context, tenant string, edit func(*Tenant, *wrapped) (*Tenant, error)) error {
	unlock, err := lock(filepath.Join(k.Dir, lockFile))
	if err != nil {
		return fmt.Errorf("crypt: keys: %w", err)
	}
	defer unlock()
	t, w, err := k.read(ctx, tenant)
	if err != nil {
		return err
	}
	if t, err = edit(t, w); err != nil {
		return err
	}
	return k.write(ctx, tenant, t, *w, false)
}

// Rotate gives a tenant a new data key, which seals from now on. What the others sealed still opens.
func (k *Keyring) Rotate(ctx context.Context, tenant string) error {
	return k.change(ctx, tenant, func(t *Tenant, w *wrapped) (*Tenant, error) {
		w.Rotated = k.Now().UTC()
		return t.rotated(tenant)
	})
}

// Retire destroys all data keys of a tenant but the one that seals. What they sealed opens no more, so
// call it only when nothing is left of that.
func (k *Keyring) Retire(ctx context.Context, tenant string) error {
	return k.change(ctx, tenant, func(t *Tenant, _ *wrapped) (*Tenant, error) { return t.retired(tenant) })
}

// Rewrap wraps the keys of a tenant anew, by the first master key.
func (k *Keyring) Rewrap(ctx context.Context, tenant string) error {
	return k.change(ctx, tenant, func(t *Tenant, _ *wrapped) (*Tenant, error) { return t, nil })
}

// Destroy destroys the keys of a tenant, durably, and returns the identifiers of its data keys. ErrNoKeys
// if it has none. The master key is not needed.
func (k *Keyring) Destroy(tenant string) ([]string, error) {
	unlock, err := lock(filepath.Join(k.Dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("crypt: keys: %w", err)
	}
	defer unlock()
	e := k.entry(tenant)
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	w, err := header(k.path(tenant))
	switch {
	case err == nil:
		ids = w.Keys
	case errors.Is(err, ErrNoKeys):
		return nil, err
	}
	if err := destroy(k.path(tenant)); err != nil {
		return nil, fmt.Errorf("crypt: keys are not destroyed: %w", err)
	}
	e.tenant = nil
	return ids, nil
}

// Wrapped returns the file of a tenant's keys as it is, for a backup. ErrNoKeys if there is none.
func (k *Keyring) Wrapped(tenant string) ([]byte, error) {
	data, err := readBounded(k.path(tenant))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKeys
	}
	return data, err
}

// Status says how the keys of a tenant are held.
type Status struct {
	Tenant  string
	Master  string   // URI of the master key that wraps them
	Keys    []string // identifiers of the data keys, the one that seals first
	Created time.Time
	Rotated time.Time
	Damaged bool // the file cannot be read; the other members but Tenant, which is the file's name, are empty
}

// List calls yield with the status of each tenant's keys until yield returns false.
func (k *Keyring) List(yield func(Status) bool) error {
	files, err := os.ReadDir(k.Dir)
	if err != nil {
		return fmt.Errorf("crypt: keys: %w", err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), FileSuffix) {
			continue
		}
		w, err := header(filepath.Join(k.Dir, f.Name()))
		switch {
		case errors.Is(err, ErrNoKeys): // destroyed meanwhile
			continue
		case err != nil:
			if !yield(Status{Tenant: f.Name(), Damaged: true}) {
				return nil
			}
			continue
		}
		if !yield(Status{w.Tenant, w.Master, w.Keys, w.Created, w.Rotated, false}) {
			return nil
		}
	}
	return nil
}
