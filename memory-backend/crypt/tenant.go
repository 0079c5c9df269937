// Package crypt keeps what is stored of a tenant unreadable without its keys.
//
// Each tenant has a keyset of its own (Tink): AES-256-GCM keys, of which the primary one seals and all
// open, and an HMAC-SHA256 key by which values are looked up without being stored. The keyset is kept in a
// file, wrapped by a master key: a local keyset or a key management service. A sealed value is bound to
// its tenant, record and field, so that it opens nowhere else; destroying the keyset's file makes all that
// was sealed with it unreadable wherever it is copied to, but for copies of the file itself.
package crypt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// HashSize is the length of a keyed hash in bytes.
const HashSize = 16

// maxDataKeys is how many data keys a tenant can have, so that its keyset stays within what each key
// management service wraps in one call (4 KiB).
const maxDataKeys = 16

// ErrSealed says that a sealed value does not open: it is damaged, was sealed with a key that is gone, or belongs
// to another tenant, record or field.
var ErrSealed = errors.New("crypt: a sealed value does not open")

// Tenant seals, opens and hashes for one tenant. It is safe for concurrent use.
type Tenant struct {
	bound  []byte // what the associated data of every value starts with
	data   *keyset.Handle
	look   *keyset.Handle
	aead   tink.AEAD
	hash   prf.PRF
	prefix [5]byte // what values sealed with the primary key start with
}

func newTenant(name string, data, look *keyset.Handle) (*Tenant, error) {
	t := &Tenant{data: data, look: look}
	t.bound = append(binary.AppendUvarint([]byte("memgate 1\x00"), uint64(len(name))), name...)
	var err error
	if t.aead, err = aead.New(data); err != nil {
		return nil, fmt.Errorf("crypt: data keys: %w", err)
	}
	set, err := prf.NewPRFSet(look)
	if err != nil {
		return nil, fmt.Errorf("crypt: look-up key: %w", err)
	}
	t.hash = set.PRFs[set.PrimaryID]
	// The prefix of Tink's wire format: https://developers.google.com/tink/wire-format
	t.prefix[0] = 1
	binary.BigEndian.PutUint32(t.prefix[1:], data.KeysetInfo().PrimaryKeyId)
	return t, nil
}

// generate makes the keys of a new tenant.
func generate(name string) (*Tenant, error) {
	data, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	look, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, err
	}
	return newTenant(name, data, look)
}

func (t *Tenant) associated(field, record string) []byte {
	b := make([]byte, 0, len(t.bound)+len(field)+len(record)+4)
	b = append(b, t.bound...)
	b = append(binary.AppendUvarint(b, uint64(len(field))), field...)
	return append(binary.AppendUvarint(b, uint64(len(record))), record...)
}

// Seal encrypts the value of a field of a record. It adds 33 bytes; an empty value stays empty.
func (t *Tenant) Seal(field, record string, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, nil
	}
	return t.aead.Encrypt(value, t.associated(field, record))
}

// Open decrypts what Seal returned for the same field and record; ErrSealed if it does not open.
func (t *Tenant) Open(field, record string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	value, err := t.aead.Decrypt(sealed, t.associated(field, record))
	if err != nil {
		return nil, ErrSealed // Tink's reason tells nothing more
	}
	return value, nil
}

// Prefix returns what every value starts with that was sealed with the primary key, and no other.
func (t *Tenant) Prefix() []byte { return t.prefix[:] }

// Hash returns the keyed hash of a value within a domain: HMAC-SHA256, cut to HashSize bytes. Equal values
// of one tenant and domain have equal hashes; nothing else can be told from them without the key.
func (t *Tenant) Hash(domain, value string) ([]byte, error) {
	in := make([]byte, 0, len(domain)+1+len(value))
	in = append(append(append(in, domain...), 0), value...)
	return t.hash.ComputePRF(in, HashSize)
}

// KeyIDs returns the identifiers of the data keys, the primary one first. They say nothing of the keys.
func (t *Tenant) KeyIDs() []string {
	info := t.data.KeysetInfo()
	ids := []string{strconv.FormatUint(uint64(info.PrimaryKeyId), 10)}
	for _, k := range info.KeyInfo {
		if k.KeyId != info.PrimaryKeyId {
			ids = append(ids, strconv.FormatUint(uint64(k.KeyId), 10))
		}
	}
	return ids
}

// rotated returns the keys with one more data key, which is the primary one.
func (t *Tenant) rotated(name string) (*Tenant, error) {
	if t.data.Len() >= maxDataKeys {
		return nil, fmt.Errorf("crypt: the tenant has %d data keys already: re-encrypt it first", maxDataKeys)
	}
	m := keyset.NewManagerFromHandle(t.data)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	return t.with(name, m)
}

// retired returns the keys without all data keys but the primary one.
func (t *Tenant) retired(name string) (*Tenant, error) {
	m := keyset.NewManagerFromHandle(t.data)
	info := t.data.KeysetInfo()
	for _, k := range info.KeyInfo {
		if k.KeyId != info.PrimaryKeyId {
			if err := m.Delete(k.KeyId); err != nil {
				return nil, err
			}
		}
	}
	return t.with(name, m)
}

func (t *Tenant) with(name string, m *keyset.Manager) (*Tenant, error) {
	data, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return newTenant(name, data, t.look)
}

// marshal returns the keys in clear, to be wrapped.
func (t *Tenant) marshal() ([]byte, error) {
	var out []byte
	for _, h := range []*keyset.Handle{t.data, t.look} {
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)); err != nil {
			return nil, err
		}
		out = append(binary.AppendUvarint(out, uint64(b.Len())), b.Bytes()...)
	}
	return out, nil
}

// unmarshal reads what marshal wrote.
func unmarshal(name string, clear []byte) (*Tenant, error) {
	var handles [2]*keyset.Handle
	for i := range handles {
		n, used := binary.Uvarint(clear)
		if used <= 0 || n > uint64(len(clear)-used) {
			return nil, errors.New("crypt: a keyset is damaged")
		}
		var err error
		handles[i], err = insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(clear[used : used+int(n)])))
		if err != nil {
			return nil, fmt.Errorf("crypt: a keyset is damaged: %w", err)
		}
		clear = clear[used+int(n):]
	}
	if len(clear) != 0 {
		return nil, errors.New("crypt: a keyset is damaged")
	}
	return newTenant(name, handles[0], handles[1])
}
