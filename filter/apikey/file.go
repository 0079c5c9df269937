package apikey

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/ownerfile"
	"github.com/memgate/memgate/filter/tenant"
	"go.yaml.in/yaml/v3"
)

// Bounds on the key file.
const (
	maxFile = 16 << 20
	maxName = 200
	version = 1
)

// Record is one key as the file holds it. Zero times mean never.
type Record struct {
	// ID is the public part of the key.
	ID string `yaml:"id"`
	// Name tells people what the key is for.
	Name string `yaml:"name,omitempty"`
	// Hash is HMAC-SHA256(pepper, key) in hexadecimal.
	Hash string `yaml:"hash"`
	// Tenant is the tenant that the key acts for.
	Tenant string `yaml:"tenant"`
	// Subject is whom the key acts as; "key:<id>" when empty.
	Subject string `yaml:"subject,omitempty"`
	// Scopes are what the key may do.
	Scopes []string `yaml:"scopes,flow"`
	// Created is when the key was issued.
	Created time.Time `yaml:"created"`
	// Expires is when the key stops to work.
	Expires time.Time `yaml:"expires,omitempty"`
	// Revoked is from when on the key is refused. It may be in the future, so that a key
	// and its successor overlap.
	Revoked time.Time `yaml:"revoked,omitempty"`
}

type document struct {
	Version int      `yaml:"version"`
	Keys    []Record `yaml:"keys"`
}

// ErrUnknownID says that the key file holds no key of an id.
var ErrUnknownID = errors.New("apikey: no key has this id")

// List returns the records of the file at path in the order of their making.
func List(path string) ([]Record, error) {
	b, err := ownerfile.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("apikey: %w", err)
	}
	records, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("apikey: %s: %w", path, err)
	}
	return records, nil
}

func decode(b []byte) ([]Record, error) {
	var doc document
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, err
	}
	if err := d.Decode(new(document)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document")
	}
	if doc.Version != version {
		return nil, fmt.Errorf("version %d is not supported", doc.Version)
	}
	seen := make(map[string]bool, len(doc.Keys))
	for i := range doc.Keys {
		r := &doc.Keys[i]
		if err := r.valid(); err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if seen[r.ID] {
			return nil, fmt.Errorf("key %d: the id occurs twice", i+1)
		}
		seen[r.ID] = true
	}
	return doc.Keys, nil
}

func (r *Record) valid() error {
	if len(r.ID) != idLength || !isBase62(r.ID) {
		return errors.New("the id is malformed")
	}
	if _, err := parseHash(r.Hash); err != nil {
		return err
	}
	return r.validGrant()
}

// validGrant checks what the maker of a key chooses.
func (r *Record) validGrant() error {
	if !tenant.Valid(r.Tenant) {
		return errors.New("the tenant is malformed")
	}
	if r.Subject != "" && !identity.ValidSubject(r.Subject) {
		return errors.New("the subject is malformed")
	}
	if len(r.Scopes) > identity.MaxScopes {
		return errors.New("too many scopes")
	}
	for _, s := range r.Scopes {
		if !identity.ValidScope(s) {
			return errors.New("a scope is malformed")
		}
	}
	if len(r.Name) > maxName {
		return errors.New("the name is too long")
	}
	return nil
}

// Create issues a key for what grant says (Name, Tenant, Subject, Scopes and Expires) and
// adds it to the file at path, which it makes where there is none. It returns the full
// record and the key, which cannot be had again.
func Create(path string, env Environment, pepper []byte, grant Record, random io.Reader, now func() time.Time) (Record, string, error) {
	return issue(env, pepper, grant, random, now, func(r Record) error {
		return update(path, func(records []Record) ([]Record, error) {
			for i := range records {
				if records[i].ID == r.ID {
					return nil, errTaken
				}
			}
			return append(records, r), nil
		})
	})
}

var errTaken = errors.New("apikey: the new id is taken")

// issue makes a key and its record for a grant, and hands the record to add.
func issue(env Environment, pepper []byte, grant Record, random io.Reader, now func() time.Time, add func(Record) error) (Record, string, error) {
	if len(pepper) < MinPepper {
		return Record{}, "", errPepper
	}
	if err := grant.validGrant(); err != nil {
		return Record{}, "", fmt.Errorf("apikey: %w", err)
	}
	grant.Created = now().UTC().Truncate(time.Second)
	if !grant.Expires.IsZero() && !grant.Expires.After(grant.Created) {
		return Record{}, "", errors.New("apikey: the key would have expired already")
	}
	grant.Expires, grant.Revoked = grant.Expires.UTC(), time.Time{}
	id, key, err := Generate(env, random)
	if err != nil {
		return Record{}, "", err
	}
	hash := mac(pepper, key)
	grant.ID, grant.Hash = id, hex.EncodeToString(hash[:])
	if err := add(grant); err != nil {
		return Record{}, "", err
	}
	return grant, key, nil
}

// Revoke makes the key called id be refused from the time at on, and returns its record. A
// key that is revoked already keeps the earlier time. It returns ErrUnknownID if there is
// no such key.
func Revoke(path, id string, at time.Time) (Record, error) {
	var revoked Record
	err := update(path, func(records []Record) ([]Record, error) {
		for i := range records {
			if records[i].ID == id {
				records[i].Revoked = earliest(records[i].Revoked, at.UTC().Truncate(time.Second))
				revoked = records[i]
				return records, nil
			}
		}
		return nil, ErrUnknownID
	})
	return revoked, err
}

// update changes the file at path under a lock that all writers take, by renaming a
// complete new file into its place: readers see the old one or the new one.
func update(path string, change func([]Record) ([]Record, error)) error {
	unlock, err := lock(path + ".lock")
	if err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	defer unlock()
	records, err := List(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if records, err = change(records); err != nil {
		return err
	}
	b, err := yaml.Marshal(document{Version: version, Keys: records})
	if err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	if err := ownerfile.Replace(path, b); err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	return nil
}
