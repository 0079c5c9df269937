package txntoken

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/memgate/memgate/filter/ownerfile"
)

const maxKeyFile = 16 << 10

// LoadOrCreateKey reads the signing key from the JWK (RFC 8037) in the file at path, or
// creates one there, readable by its owner alone. When two processes create it at once,
// both end with the same key. A file that others may read is refused: the key could be
// known, and whoever knows it is any tenant.
func LoadOrCreateKey(path string, random io.Reader) (ed25519.PrivateKey, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	if err := createKey(path, key); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	return loadKey(path)
}

func loadKey(path string) (ed25519.PrivateKey, error) {
	b, err := ownerfile.Read(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	key, err := ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	return key, nil
}

var errKey = errors.New("txntoken: no Ed25519 private key as JWK")

// ParseKey reads the signing key from a JWK (RFC 8037, section 2) that holds its private
// part. The error never quotes the input.
func ParseKey(b []byte) (ed25519.PrivateKey, error) {
	parsed, err := jwk.ParseKey(b)
	if err != nil {
		return nil, errKey
	}
	var key ed25519.PrivateKey
	if err := jwk.Export(parsed, &key); err != nil || len(key) != ed25519.PrivateKeySize {
		return nil, errKey
	}
	return key, nil
}

// createKey makes the file at path, which fails when the name is taken.
func createKey(path string, key ed25519.PrivateKey) error {
	private, err := jwk.Import(key)
	if err != nil {
		return err
	}
	b, err := json.Marshal(private)
	if err != nil {
		return err
	}
	return ownerfile.Create(path, append(b, '\n'))
}
