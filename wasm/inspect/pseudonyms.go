package inspect

import (
	"encoding/base64"
	"strings"

	"github.com/memgate/memgate/filter/pii"
)

// maxTenants is the number of tenants whose keys are kept ready, as making them so
// takes longer than to search a short body.
const maxTenants = 64

// Pseudonyms keeps the keys of the tenants that were seen last ready for use. The zero
// value is empty. It is not safe for concurrent use; a Wasm VM has one thread.
type Pseudonyms struct {
	ready map[string]*pii.Pseudonyms
}

// Get returns the keys in the text that the authz service sends: each in base64url, by
// commas, the first makes pseudonyms.
func (p *Pseudonyms) Get(keys string) (*pii.Pseudonyms, error) {
	if known := p.ready[keys]; known != nil {
		return known, nil
	}
	var list [][]byte
	for text := range strings.SplitSeq(keys, ",") {
		key, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		list = append(list, key)
	}
	made, err := pii.NewPseudonyms(list...)
	if err != nil {
		return nil, err
	}
	if p.ready == nil || len(p.ready) == maxTenants {
		p.ready = make(map[string]*pii.Pseudonyms, maxTenants)
	}
	p.ready[strings.Clone(keys)] = made
	return made, nil
}
