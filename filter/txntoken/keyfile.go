package txntoken

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lestrrat-go/jwx/v3/jwk"
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
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("txntoken: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("txntoken: %s is no regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("txntoken: %s is open to others (mode %#o): it must be 0600", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
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

// createKey writes the whole file under another name and then links it into place, which
// fails when the name is taken: nobody ever sees a part of it.
func createKey(path string, key ed25519.PrivateKey) error {
	private, err := jwk.Import(key)
	if err != nil {
		return err
	}
	b, err := json.Marshal(private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".txn-key-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
