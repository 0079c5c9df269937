package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/memgate/memgate/filter/ownerfile"
)

// KeyName is the name in the keys that sign checkpoints, and in their signatures.
const KeyName = "memgate-audit"

const maxKeyFile = 4 << 10

// ErrKeyFile is that a file holds no key, or that others may read it.
var ErrKeyFile = errors.New("audit: not a signing key that its owner alone may read")

// Key signs checkpoints.
type Key struct {
	note.Signer
	// Verifier is the key that verifies them, in the form of package note; it is
	// no secret.
	Verifier string
}

// LoadOrCreateKey reads the key in the file at path, in the form of package note
// (an Ed25519 key), or creates one there with mode 0600. A file that others may
// read is refused: whoever knows the key can write a log that verifies.
func LoadOrCreateKey(path string, random io.Reader) (Key, error) {
	key, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	text, _, err := note.GenerateKey(random, KeyName)
	if err != nil {
		return Key{}, fmt.Errorf("audit: %w", err)
	}
	if err := ownerfile.Create(path, []byte(text+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fmt.Errorf("audit: %w", err)
	}
	return LoadKey(path)
}

// LoadKey reads the key in the file at path.
func LoadKey(path string) (Key, error) {
	text, err := ownerfile.Read(path, maxKeyFile)
	switch {
	case errors.Is(err, ownerfile.ErrOpen):
		return Key{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	case err != nil:
		return Key{}, fmt.Errorf("audit: %w", err)
	}
	key, err := ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %s", err, path)
	}
	return key, nil
}

// ParseKey reads a key in the form of package note. Errors never quote it.
func ParseKey(text string) (Key, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return Key{}, ErrKeyFile
	}
	// PRIVATE, KEY, name, hash, and the key, in which + is a digit.
	parts := strings.SplitN(text, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	// The first byte names the algorithm; NewSigner knows Ed25519 alone.
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return Key{}, ErrKeyFile
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return Key{}, ErrKeyFile
	}
	return Key{Signer: signer, Verifier: verifier}, nil
}
