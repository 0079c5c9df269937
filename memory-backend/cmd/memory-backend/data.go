package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/crypt/kms"
	"github.com/memgate/memgate/memory-backend/store/sqlite"
)

// masterFile is the master key's file when none is named.
const masterFile = "master-key.json"

// dataOptions say where memories are, and which keys they are sealed with.
type dataOptions struct {
	data    string
	masters []string
	keys    string
	maxOpen int
	qdrant  qdrantOptions

	embeddings   embeddingsOptions
	vectorMemory int64 // bytes
}

func (o *dataOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.data, "data", "", "directory of the tenants' files (created with mode 0700)")
	f.StringSliceVar(&o.masters, "master-key", nil,
		"master key that wraps the tenants' keys: file:PATH (made at the first start, mode 0600), the URI of a key management service, or none "+
			"for no encryption; further ones only unwrap (default file:DATA/"+masterFile+")")
	f.StringVar(&o.keys, "keys", "", "directory of the tenants' wrapped keys (default DATA/keys)")
	o.qdrant.flags(f)
	o.embeddings.flags(f)
}

// check returns what is wrong with the options, after filling in those that were not given.
func (o *dataOptions) check() error {
	if o.data == "" {
		return errors.New("--data is required")
	}
	if o.keys == "" {
		o.keys = filepath.Join(o.data, "keys")
	}
	for _, m := range o.masters {
		if m == "none" && len(o.masters) > 1 {
			return errors.New("--master-key none stands alone")
		}
	}
	if o.qdrant.url != "" && !o.encrypted() {
		return errors.New("--qdrant keeps memories encrypted only: --master-key must not be none")
	}
	_, err := o.embeddings.space()
	return err
}

// encrypted reports whether files are sealed.
func (o *dataOptions) encrypted() bool { return len(o.masters) != 1 || o.masters[0] != "none" }

// beside reports whether the master key is kept with what it protects.
func (o *dataOptions) beside() bool {
	if len(o.masters) == 0 {
		return true
	}
	path, isFile := strings.CutPrefix(o.masters[0], "file:")
	if !isFile {
		return false
	}
	rel, err := filepath.Rel(o.data, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// keyring opens the tenants' keys; nil without encryption. A master key's file is made if create is set and
// there is nothing yet that another one wrapped.
func (o *dataOptions) keyring(ctx context.Context, create bool) (*crypt.Keyring, error) {
	if !o.encrypted() {
		return nil, nil
	}
	uris := o.masters
	if len(uris) == 0 {
		if create {
			if err := os.MkdirAll(o.data, 0o700); err != nil {
				return nil, fmt.Errorf("data directory: %w", err)
			}
		}
		uris = []string{"file:" + filepath.Join(o.data, masterFile)}
	}
	wrapped, err := filepath.Glob(filepath.Join(o.keys, "*.keys"))
	if err != nil {
		return nil, err
	}
	var masters []crypt.Master
	for i, uri := range uris {
		m, err := services.Open(ctx, uri, create && i == 0 && len(wrapped) == 0)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; without it nothing that is stored can be read: restore it from where it was kept", err)
		}
		if err != nil {
			return nil, err
		}
		masters = append(masters, m)
	}
	return crypt.OpenKeyring(crypt.Config{Dir: o.keys, Masters: masters, Now: time.Now})
}

// open opens the files of the options.
func (o *dataOptions) open(ctx context.Context, create bool) (*sqlite.Store, *crypt.Keyring, error) {
	if o.qdrant.url != "" {
		return nil, nil, usageError{errors.New("this is for files, and --qdrant keeps none: make a snapshot of the collection with Qdrant " +
			"(POST /collections/" + o.qdrant.collection + "/snapshots), and keep a copy of " + o.keys + " with it")}
	}
	if !create {
		if _, err := os.Stat(o.data); err != nil {
			return nil, nil, fmt.Errorf("data directory: %w", err)
		}
	}
	keys, err := o.keyring(ctx, create)
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlite.Open(sqlite.Config{Dir: o.data, MaxOpen: o.maxOpen, Now: time.Now, Random: rand.Reader, Keys: keys, VectorMemory: o.vectorMemory})
	return s, keys, err
}

// services are the key management services that a master key can be in.
var services = kms.Openers(os.LookupEnv)

// printf writes to the command's output; who closed it wants no more.
func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
