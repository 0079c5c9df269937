package apikey

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/memgate/memgate/filter/ownerfile"
	"go.yaml.in/yaml/v3"
)

// usedFile is beside a key file: when each key was used last. It is no part of the key file,
// which changes only when someone changes keys.
func usedFile(path string) string { return path + ".used" }

// PutUsed keeps when keys of the file at path were used last, if that is later than what is
// known, and forgets keys that are not there any more.
func PutUsed(path string, used map[string]time.Time) error {
	if len(used) == 0 {
		return nil
	}
	unlock, err := lock(usedFile(path) + ".lock")
	if err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	defer unlock()
	records, err := List(path)
	if err != nil {
		return err
	}
	have, err := Used(path)
	if err != nil {
		return err
	}
	keep := make(map[string]time.Time, len(records))
	for i := range records {
		id := records[i].ID
		at := have[id]
		if used[id].After(at) {
			at = used[id]
		}
		if !at.IsZero() {
			keep[id] = at.UTC().Truncate(time.Second)
		}
	}
	b, err := yaml.Marshal(keep)
	if err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	if err := ownerfile.Replace(usedFile(path), b); err != nil {
		return fmt.Errorf("apikey: %w", err)
	}
	return nil
}

// Used returns when keys of the file at path were used last, as far as that was put away.
func Used(path string) (map[string]time.Time, error) {
	used := make(map[string]time.Time)
	b, err := os.ReadFile(usedFile(path))
	if errors.Is(err, fs.ErrNotExist) {
		return used, nil
	}
	if err != nil {
		return nil, fmt.Errorf("apikey: %w", err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&used); err != nil {
		return nil, fmt.Errorf("apikey: %s: %w", usedFile(path), err)
	}
	return used, nil
}

func sorted(byID map[string]Record) []Record {
	return slices.SortedFunc(maps.Values(byID), func(a, b Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// MaxSoon is how many records [Census.Soon] has at most.
const MaxSoon = 20

// Census says how many keys there are in which state.
type Census struct {
	Active, Expired, Revoked int
	// Expiring are those of the active ones that expire soon.
	Expiring int
	// Soon are those that expire first of them.
	Soon []Record
	// Next is when the next of the active ones expires; zero for never.
	Next time.Time
}

// Add counts a record. Soon is whatever expires within a time from now.
func (c *Census) Add(r *Record, now time.Time, within time.Duration) {
	switch {
	case !r.Revoked.IsZero() && !now.Before(r.Revoked):
		c.Revoked++
		return
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		c.Expired++
		return
	}
	c.Active++
	// One that is revoked before it expires has a successor already.
	if r.Expires.IsZero() || !r.Revoked.IsZero() && r.Revoked.Before(r.Expires) {
		return
	}
	c.Next = earliest(c.Next, r.Expires)
	if r.Expires.Sub(now) > within {
		return
	}
	c.Expiring++
	at, _ := slices.BinarySearchFunc(c.Soon, r.Expires, func(have Record, t time.Time) int { return have.Expires.Compare(t) })
	if at < MaxSoon {
		c.Soon = slices.Insert(c.Soon, at, *r)
		c.Soon = c.Soon[:min(len(c.Soon), MaxSoon)]
	}
}
