package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Secret is a reference to a secret, env:NAME or file:PATH, never its value.
// A relative path is relative to the policy file. The zero value refers to
// nothing.
type Secret string

// MaxSecret is the most bytes that a secret may have.
const MaxSecret = 64 << 10

const (
	schemeEnv  = "env:"
	schemeFile = "file:"
)

// String is the reference, which is no secret. What is not a reference, and so
// could be a secret by mistake, is not shown.
func (s Secret) String() string {
	if s != "" && s.check() != nil {
		return "(not a reference)"
	}
	return string(s)
}

// GoString is [Secret.String], so that %#v shows no more than %v.
func (s Secret) GoString() string { return s.String() }

// FilePath returns the path that s refers to, relative to dir when it is not
// absolute, and false when s is not a file: reference.
func (s Secret) FilePath(dir string) (string, bool) {
	path, ok := strings.CutPrefix(string(s), schemeFile)
	if !ok || path == "" {
		return "", false
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return path, true
}

// Resolve reads the secret from the environment or from its file and trims one
// trailing newline. It fails when the secret is missing, empty, or larger than
// [MaxSecret]. Errors name the reference and never the value.
func (s Secret) Resolve(dir string) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("the secret %w", err)
	}
	var value []byte
	if path, ok := s.FilePath(dir); ok {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		defer f.Close()
		if value, err = io.ReadAll(io.LimitReader(f, MaxSecret+2)); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	} else {
		name := strings.TrimPrefix(string(s), schemeEnv)
		text, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("%s: the environment has no variable %s", s, name)
		}
		value = []byte(text)
	}
	if trimmed, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		value = bytes.TrimSuffix(trimmed, []byte("\r"))
	}
	switch {
	case len(value) == 0:
		return nil, fmt.Errorf("%s: is empty", s)
	case len(value) > MaxSecret:
		return nil, fmt.Errorf("%s: is larger than %s", s, Size(MaxSecret))
	}
	return value, nil
}

// Resolve reads the secret s of the policy; see [Secret.Resolve].
func (p *Policy) Resolve(s Secret) ([]byte, error) { return s.Resolve(p.dir) }

// Path returns path as seen from the policy file's folder, unless it is
// absolute.
func (p *Policy) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.dir, path)
}

func (s *Secret) parse(text string) error {
	if err := Secret(text).check(); err != nil {
		return err
	}
	*s = Secret(text)
	return nil
}

func (*Secret) pattern() (string, string) {
	return `^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+)$`, "env:NAME"
}

var errNotReference = errors.New("must be env:NAME or file:PATH: a secret itself never stands in the file (its value is not shown)")

// check reports what keeps s from being a reference, without showing it.
func (s Secret) check() error {
	if name, ok := strings.CutPrefix(string(s), schemeEnv); ok {
		if !isEnvName(name) {
			return errors.New("must name an environment variable after env: (letters, digits and _; its value is not shown)")
		}
		return nil
	}
	path, ok := strings.CutPrefix(string(s), schemeFile)
	if !ok {
		return errNotReference
	}
	if path == "" || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("must have a path without control characters after file: (its value is not shown)")
	}
	return nil
}

func isEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 256
}
