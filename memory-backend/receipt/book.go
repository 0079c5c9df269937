package receipt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// ErrNotFound says that there is no such receipt of the tenant.
var ErrNotFound = errors.New("receipt: not found")

// Book signs receipts and keeps each in a file of its own, named by its id, in a directory of mode 0700.
type Book struct {
	signer *Signer
	dir    string
}

// NewBook returns a book in a directory, which is made when the first receipt is kept.
func NewBook(signer *Signer, dir string) *Book { return &Book{signer, dir} }

// Ready returns nil if a receipt could be kept now: it is asked before what is stated cannot be undone.
func (b *Book) Ready() error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	f, err := os.CreateTemp(b.dir, ".ready-*")
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	_, err = f.Write(make([]byte, maxBytes))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Sign signs a receipt and keeps it. It returns the receipt with its id, and as it was signed.
func (b *Book) Sign(r Receipt) (*Receipt, string, error) {
	signed, err := b.signer.Sign(r)
	if err != nil {
		return nil, "", err
	}
	known, err := Verify(signed, b.signer.JWKS())
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("receipt: %w", err)
	}
	f, err := os.OpenFile(b.path(known.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("receipt: %w", err)
	}
	_, err = f.WriteString(signed + "\n")
	return known, signed, errors.Join(err, f.Sync(), f.Close())
}

func (b *Book) path(id string) string { return filepath.Join(b.dir, id+".jws") }

// Get returns a receipt of a tenant, and as it was signed; ErrNotFound if the tenant has none of this id.
func (b *Book) Get(tenant, id string) (*Receipt, string, error) {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return nil, "", ErrNotFound
	}
	data, err := os.ReadFile(b.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", ErrNotFound
	} else if err != nil {
		return nil, "", fmt.Errorf("receipt: %w", err)
	}
	signed := strings.TrimSpace(string(data))
	r, err := Verify(signed, b.signer.JWKS())
	if err != nil {
		return nil, "", err
	}
	if r.Tenant != tenant {
		return nil, "", ErrNotFound
	}
	return r, signed, nil
}

// JWKS returns the public keys that receipts are checked with.
func (b *Book) JWKS() []byte { return b.signer.JWKS() }
