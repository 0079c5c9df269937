package sqlite

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// sealer keeps what a file says of a tenant unreadable. Every text in a file has gone through Seal, and
// everything that is looked up or compared inside SQLite through Hash, but for ids, types, statuses,
// provenances, confidences and times.
type sealer interface {
	Seal(field, record string, value []byte) ([]byte, error)
	Open(field, record string, sealed []byte) ([]byte, error)
	Hash(domain, value string) ([]byte, error)
}

// plain is the sealer of files that are not encrypted. It leaves values as they are.
type plain struct{}

func (plain) Seal(_, _ string, value []byte) ([]byte, error)  { return value, nil }
func (plain) Open(_, _ string, sealed []byte) ([]byte, error) { return sealed, nil }
func (plain) Hash(domain, value string) ([]byte, error) {
	return append(append([]byte(domain), 0), value...), nil
}

// Domains of hashes: what a hash is a hash of.
const (
	hashTerm     = "t"
	hashAgent    = "agent"
	hashUser     = "user"
	hashApp      = "app"
	hashRun      = "run"
	hashTag      = "tag"
	hashCategory = "category"
	hashKey      = "metadata key"
	hashMember   = "metadata"
	hashOnce     = "once"
	hashRequest  = "request"
	hashContent  = "content"
	hashRecord   = "record " // and the kind
)

// Fields of sealed values, each of a record: the id of a memory or change, or a hash in hexadecimal.
const (
	sealTitle    = "title"
	sealContent  = "content"
	sealLabels   = "labels"
	sealMetadata = "metadata"
	sealOrigin   = "origin"
	sealOld      = "change content"
	sealOldMeta  = "change metadata"
	sealWho      = "change who"
	sealAgent    = "agent"
	sealAnswer   = "answer"
	sealCheck    = "check"
	sealName     = "record name"
	sealValue    = "record value"
	sealVector   = "vector"
)

// keys returns the sealer of a tenant.
func (s *Store) keys(ctx context.Context, tenant string, fresh bool) (sealer, error) {
	if s.keyring == nil {
		return plain{}, nil
	}
	return s.keyring.Tenant(ctx, tenant, fresh)
}

// hashOf returns the hash of a value, and nothing for none.
func hashOf(k sealer, domain, value string) ([]byte, error) {
	if value == "" {
		return []byte{}, nil
	}
	return k.Hash(domain, value)
}

var errList = errors.New("sqlite: a stored list is damaged")

// appendStrings encodes a list of strings: each its length and its bytes.
func appendStrings(dst []byte, list ...string) []byte {
	for _, s := range list {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return dst
}

// cutStrings decodes what appendStrings encoded.
func cutStrings(data []byte) ([]string, error) {
	var list []string
	for len(data) > 0 {
		n, used := binary.Uvarint(data)
		if used <= 0 || n > uint64(len(data)-used) {
			return nil, errList
		}
		list = append(list, string(data[used:used+int(n)]))
		data = data[used+int(n):]
	}
	return list, nil
}

// sealer with the error of the first failure, so that several values can be sealed in a row.
type sealing struct {
	keys   sealer
	record string
	err    error
}

func (s *sealing) seal(field string, value []byte) []byte {
	if s.err != nil {
		return nil
	}
	sealed, err := s.keys.Seal(field, s.record, value)
	if s.err = err; sealed == nil {
		sealed = []byte{}
	}
	return sealed
}

func (s *sealing) open(field string, sealed []byte) []byte {
	if s.err != nil {
		return nil
	}
	value, err := s.keys.Open(field, s.record, sealed)
	if s.err = err; err != nil {
		return nil
	}
	return value
}

func (s *sealing) hash(domain, value string) []byte {
	if s.err != nil {
		return nil
	}
	var h []byte
	h, s.err = hashOf(s.keys, domain, value)
	return h
}

// labels returns the hashes by which a memory is found by its tags, categories and the members of its
// metadata.
func labels(k sealer, m *memory.Memory) ([][]byte, error) {
	var list [][]byte
	seen := make(map[string]bool)
	add := func(domain, value string) error {
		h, err := k.Hash(domain, value)
		if err == nil && !seen[string(h)] {
			seen[string(h)] = true
			list = append(list, h)
		}
		return err
	}
	for _, t := range m.Tags {
		if err := add(hashTag, t); err != nil {
			return nil, err
		}
	}
	for _, c := range m.Category {
		if err := add(hashCategory, c); err != nil {
			return nil, err
		}
	}
	if len(m.Metadata) == 0 {
		return list, nil
	}
	var members map[string]any
	if json.Unmarshal(m.Metadata, &members) != nil {
		return list, nil // selected by no filter either
	}
	for key, v := range members {
		if v == nil {
			continue
		}
		if err := add(hashKey, key); err != nil {
			return nil, err
		}
		if value, ok := memory.Member(key, v); ok {
			if err := add(hashMember, value); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// foreign gives the failure to open a sealed value of a file its meaning.
func foreign(err error) error {
	if errors.Is(err, crypt.ErrSealed) {
		return fmt.Errorf("%w: %w", ErrForeignFile, err)
	}
	return err
}
