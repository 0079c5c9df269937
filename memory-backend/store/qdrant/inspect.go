package qdrant

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Inspect opens everything that is held of a tenant, and returns how many memories these are. It changes nothing.
func (s *Store) Inspect(ctx context.Context, tenant string) (memories int, err error) {
	found, err := s.read(ctx, tenant, func(r *reading) error {
		memories = 0
		for _, kind := range sealedKinds {
			if err := r.scan(ctx, kind, nil, func(p *stored) error {
				sealed, err := base64.StdEncoding.DecodeString(p.payload[fieldData].GetStringValue())
				if err == nil {
					_, err = r.keys.Open(kind, p.id, sealed)
				}
				if err != nil {
					return fmt.Errorf("%w: point %s, a %s: %w", memory.ErrCorrupt, p.id, kind, err)
				}
				if kind == kindMemory {
					memories++
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("it has no keys")
	}
	return memories, err
}

// present fails unless the collection and all its indexes are there.
func (s *Store) present(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		exists, err := s.client.CollectionExists(ctx, s.Collection)
		if err != nil {
			return err
		}
		if !exists {
			return fmt.Errorf("there is no collection %q", s.Collection)
		}
		info, err := s.client.GetCollectionInfo(ctx, s.Collection)
		if err != nil {
			return err
		}
		for _, index := range indexes {
			if info.GetPayloadSchema()[index.field] == nil {
				return fmt.Errorf("the collection has no index of %q: start the service once, which makes it", index.field)
			}
		}
		return nil
	})
}
