package sqlite

import (
	"context"
	"fmt"
)

// LimitPages lets the file of a tenant grow to at most n pages, as a full disk would.
func (s *Store) LimitPages(tenant string, n int) error {
	f, err := s.pool.acquire(context.Background(), tenant, false)
	if err != nil {
		return err
	}
	defer s.pool.release(f)
	_, err = f.writer.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
	return err
}

// Schema1 is the schema of files that were written before texts were sealed.
const Schema1 = schema1

// ApplicationID marks files as ours.
const ApplicationID = applicationID

// SetReadOnly makes the connection that writes refuse to, as a disk that became read-only would.
func (s *Store) SetReadOnly(tenant string, on bool) error {
	f, err := s.pool.acquire(context.Background(), tenant, false)
	if err != nil {
		return err
	}
	defer s.pool.release(f)
	_, err = f.writer.Exec(fmt.Sprintf("PRAGMA query_only = %v", on))
	return err
}
