package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Master wraps the keys of tenants.
type Master interface {
	// URI names the master key; it holds no secret.
	URI() string
	// EncryptWithContext wraps, with what the result is bound to.
	EncryptWithContext(ctx context.Context, plaintext, bound []byte) ([]byte, error)
	// DecryptWithContext unwraps. An error that is ErrUnavailable says that trying later can succeed.
	DecryptWithContext(ctx context.Context, ciphertext, bound []byte) ([]byte, error)
}

// ErrUnavailable says that the key management service did not answer, or refused to.
var ErrUnavailable = errors.New("crypt: the key management service is unavailable")

// filePrefix is the scheme of a master key in a local file.
const filePrefix = "file:"

// serviceTimeout is how long one call of a key management service may take.
const serviceTimeout = 5 * time.Second

// service is a key of a key management service.
type service struct {
	uri  string
	aead tink.AEADWithContext
}

// Service makes a master key of a key of a key management service. Each call of it may take 5 seconds, and
// every failure of one is ErrUnavailable: what services answer does not tell apart for sure a key that is
// gone from one that cannot be used now.
func Service(uri string, a tink.AEADWithContext) Master { return &service{uri, a} }

func (s *service) URI() string { return s.uri }

func (s *service) EncryptWithContext(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	return s.call(ctx, s.aead.EncryptWithContext, plaintext, bound)
}

func (s *service) DecryptWithContext(ctx context.Context, ciphertext, bound []byte) ([]byte, error) {
	return s.call(ctx, s.aead.DecryptWithContext, ciphertext, bound)
}

func (s *service) call(ctx context.Context, do func(context.Context, []byte, []byte) ([]byte, error), in, bound []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1) // not every client heeds the context
	go func() {
		out, err := do(ctx, in, bound)
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.uri, r.err)
		}
		return r.out, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.uri, ctx.Err())
	}
}

// FileMaster is a master key in a local file of mode 0600: a Tink keyset in clear, as JSON. It follows
// changes of the file.
type FileMaster struct {
	path string

	mu     sync.Mutex
	stamp  stamp
	handle *keyset.Handle
	aead   tink.AEAD
}

// OpenFile reads the master key in a file, and makes the file with a new key when it is missing and create
// is set.
func OpenFile(path string, create bool) (*FileMaster, error) {
	m := &FileMaster{path: path}
	err := m.load()
	if errors.Is(err, fs.ErrNotExist) && create {
		var h *keyset.Handle
		if h, err = keyset.NewHandle(aead.AES256GCMKeyTemplate()); err == nil {
			err = m.write(h, true)
		}
		if err == nil || errors.Is(err, fs.ErrExist) { // another process was first
			err = m.load()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("crypt: master key: %w", err)
	}
	return m, nil
}

// load reads the file if it changed.
func (m *FileMaster) load() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := os.Stat(m.path)
	if err != nil {
		return err
	}
	now := stampOf(info)
	if m.aead != nil && m.stamp.same(now) {
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", m.path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others: its mode is %04o, it must be 0600", m.path, info.Mode().Perm())
	}
	data, err := readBounded(m.path)
	if err != nil {
		return err
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return fmt.Errorf("%s holds no keyset: %w", m.path, err)
	}
	a, err := aead.New(h)
	if err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	m.stamp, m.handle, m.aead = now, h, a
	return nil
}

func (m *FileMaster) write(h *keyset.Handle, fresh bool) error {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return err
	}
	return writeFile(m.path, append(b.Bytes(), '\n'), fresh)
}

// URI implements Master.
func (m *FileMaster) URI() string { return filePrefix + m.path }

// EncryptWithContext implements Master.
func (m *FileMaster) EncryptWithContext(_ context.Context, plaintext, bound []byte) ([]byte, error) {
	a, err := m.current()
	if err != nil {
		return nil, err
	}
	return a.Encrypt(plaintext, bound)
}

// DecryptWithContext implements Master.
func (m *FileMaster) DecryptWithContext(_ context.Context, ciphertext, bound []byte) ([]byte, error) {
	a, err := m.current()
	if err != nil {
		return nil, err
	}
	return a.Decrypt(ciphertext, bound)
}

// current returns the key as the file has it now. A file that is gone or damaged meanwhile is as a key
// service that does not answer.
func (m *FileMaster) current() (tink.AEAD, error) {
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("%w: master key: %w", ErrUnavailable, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aead, nil
}

// Rotate adds a key to the file, which wraps from now on; the others still unwrap.
func (m *FileMaster) Rotate() error {
	return m.change(func(k *keyset.Manager, _ uint32, _ []uint32) error {
		id, err := k.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			return err
		}
		return k.SetPrimary(id)
	})
}

// Retire removes all keys but the one that wraps. Call it only when nothing is wrapped by the others.
func (m *FileMaster) Retire() error {
	return m.change(func(k *keyset.Manager, primary uint32, all []uint32) error {
		for _, id := range all {
			if id != primary {
				if err := k.Delete(id); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// KeyIDs returns the identifiers of the keys in the file, the one that wraps first.
func (m *FileMaster) KeyIDs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	info := m.handle.KeysetInfo()
	ids := []string{strconv.FormatUint(uint64(info.PrimaryKeyId), 10)}
	for _, k := range info.KeyInfo {
		if k.KeyId != info.PrimaryKeyId {
			ids = append(ids, strconv.FormatUint(uint64(k.KeyId), 10))
		}
	}
	return ids
}

func (m *FileMaster) change(edit func(k *keyset.Manager, primary uint32, all []uint32) error) error {
	if err := m.load(); err != nil {
		return err
	}
	m.mu.Lock()
	info := m.handle.KeysetInfo()
	k := keyset.NewManagerFromHandle(m.handle)
	m.mu.Unlock()
	var all []uint32
	for _, i := range info.KeyInfo {
		all = append(all, i.KeyId)
	}
	if err := edit(k, info.PrimaryKeyId, all); err != nil {
		return err
	}
	h, err := k.Handle()
	if err != nil {
		return err
	}
	if err := m.write(h, false); err != nil {
		return err
	}
	return m.load()
}

// Opener makes a master key of a URI of the scheme that it is registered for.
type Opener func(ctx context.Context, uri string) (Master, error)

// Openers are the kinds of master keys of key management services, by the scheme of their URIs, for
// example "hcvault://".
type Openers map[string]Opener

// Open opens the master key that a URI names: file:PATH, whose file is made when it is missing and create
// is set, or one of a key management service.
func (o Openers) Open(ctx context.Context, uri string, create bool) (Master, error) {
	if path, ok := strings.CutPrefix(uri, filePrefix); ok {
		return OpenFile(path, create)
	}
	for scheme, open := range o {
		if strings.HasPrefix(uri, scheme) {
			return open(ctx, uri)
		}
	}
	return nil, fmt.Errorf("crypt: %q names no kind of master key: use file:PATH or the URI of a key management service", uri)
}
