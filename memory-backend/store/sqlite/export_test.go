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
