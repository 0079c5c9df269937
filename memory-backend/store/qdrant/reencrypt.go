package qdrant

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/qdrant/go-client/qdrant"

	"github.com/memgate/memgate/memory-backend/memory"
)

// sealedKinds are the kinds of points whose content is sealed.
var sealedKinds = []string{kindMemory, kindChange, kindAgent, kindRecord, kindOnce}

// Reencrypt seals every point of a tenant with its newest data key, and then destroys the others. It can be repeated when it
// was interrupted. It returns how many points it sealed anew.
func (s *Store) Reencrypt(ctx context.Context, tenant string) (sealed int, err error) {
	err = s.write(ctx, tenant, false, func(w *writing) error {
		for _, kind := range sealedKinds {
			n, err := w.reseal(ctx, kind)
			if sealed += n; err != nil {
				return err
			}
		}
		// This is the only writer, and it waits: nothing else was sealed meanwhile, unless keys were rotated.
		newest, err := s.keys(ctx, tenant, true)
		switch {
		case err != nil:
			return err
		case newest == nil || !bytes.Equal(newest.Prefix(), w.keys.Prefix()):
			return errors.New("qdrant: keys were rotated meanwhile: re-encrypt again")
		}
		return s.Keys.Retire(ctx, tenant)
	})
	return sealed, err
}

// reseal seals the points of a kind anew that another key sealed. Nothing else of them changes.
func (w *writing) reseal(ctx context.Context, kind string) (sealed int, err error) {
	var batch []*qdrant.PointsUpdateOperation
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := w.store.call(ctx, func(ctx context.Context) error {
			_, err := w.store.client.UpdateBatch(ctx, &qdrant.UpdateBatchPoints{CollectionName: w.store.Collection, Wait: qdrant.PtrOf(true), Operations: batch})
			return err
		})
		sealed += len(batch)
		batch = batch[:0]
		return err
	}
	err = w.scan(ctx, kind, nil, func(p *stored) error {
		old, err := base64.StdEncoding.DecodeString(p.payload[fieldData].GetStringValue())
		if err != nil {
			return fmt.Errorf("%w: %w", memory.ErrCorrupt, errPoint)
		}
		if bytes.HasPrefix(old, w.keys.Prefix()) {
			return nil
		}
		clear, err := w.keys.Open(kind, p.id, old)
		if err != nil {
			return classify(err)
		}
		fresh, err := w.keys.Seal(kind, p.id, clear)
		if err != nil {
			return err
		}
		batch = append(batch, qdrant.NewPointsUpdateSetPayload(&qdrant.PointsUpdateOperation_SetPayload{
			Payload:        map[string]*qdrant.Value{fieldData: qdrant.NewValueString(base64.StdEncoding.EncodeToString(fresh))},
			PointsSelector: qdrant.NewPointsSelector(qdrant.NewIDUUID(p.id)),
		}))
		if len(batch) < scanStep {
			return nil
		}
		return send()
	})
	return sealed, errors.Join(err, send())
}
