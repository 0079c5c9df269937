package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// MaxFile is the most bytes that a policy file may have.
const MaxFile = 1 << 20

// Load reads and checks the policy file at path. It returns the policy with
// its defaults filled in, and the warnings of [Policy.Lint]. What keeps the
// policy from being used, be it a key that is misspelt or a rule that is not
// safe, comes all together as [Errors]; the policy is then nil.
func Load(path string) (*Policy, []Finding, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	return Parse(data, path, filepath.Dir(path))
}

// readFile reads at most one byte more than [Parse] accepts.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Errors{{File: path, Severity: Error, Rule: "file", Message: reason(err)}}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, Errors{{File: path, Severity: Error, Rule: "file", Message: reason(err)}}
	}
	return data, nil
}

// reason is err without the path, which the finding names already.
func reason(err error) string {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return "cannot be read: " + pathErr.Err.Error()
	}
	return "cannot be read: " + err.Error()
}

// Parse does for data what [Load] does for a file. name is the file's name in
// findings, and relative paths in the policy are relative to dir.
func Parse(data []byte, name, dir string) (*Policy, []Finding, error) {
	r := &report{file: name}
	p := &Policy{dir: dir, file: name, places: make(map[string]place), failed: make(map[string]bool)}
	sum := sha256.Sum256(data)
	p.digest = hex.EncodeToString(sum[:])

	if root := parseYAML(r, data); root != nil {
		d := &decoder{report: r, places: p.places, failed: p.failed, cache: make(map[reflect.Type][]field)}
		v := reflect.ValueOf(p).Elem()
		if err := fillDefaults(v, d.fields); err != nil {
			return nil, nil, err
		}
		d.mapping(root, v, "")
		p.compile(r)
		r.findings = append(r.findings, p.Lint()...)
	}
	scanLines(r, data)

	errs, warnings := r.split()
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return p, warnings, nil
}

// Digest is the lower-case hex SHA-256 of the file that p was read from, or ""
// when it was not read from one.
func (p *Policy) Digest() string { return p.digest }
