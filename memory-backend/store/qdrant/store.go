// Package qdrant keeps memories in Qdrant: one collection for all tenants, in which each memory, change, agent,
// record and idempotency key is a point.
//
// What a point says is sealed with the keys of its tenant; what Qdrant compares is a keyed hash, a time, a type
// or a status. Each write is one request that Qdrant carries out as a whole: what it takes away is overwritten
// by points without content, which are then deleted. Writers of one tenant take turns within a process, so one
// process may write to a tenant at a time.
package qdrant

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/memgate/memgate/memory-backend/crypt"
	"github.com/memgate/memgate/memory-backend/memory"
)

// Config says where and how to store. Keys and Random are required.
type Config struct {
	Host       string // localhost when empty
	Port       int    // of gRPC; 6334 when 0
	APIKey     string // sent with TLS, or to loopback, only
	TLS        *tls.Config
	Collection string        // "memories" when empty
	Timeout    time.Duration // for one request; 5 s when 0
	Tries      int           // of a request that Qdrant did not get or could not take; 4 when 0
	Keys       *crypt.Keyring
	Random     io.Reader // for ids of changes
}

// Store implements memory.Store.
type Store struct {
	Config
	client *qdrant.Client

	mu      sync.Mutex
	tenants map[string]*tenant
}

var _ memory.Store = (*Store)(nil)

// tenant is what a process knows of a tenant that it writes to.
type tenant struct {
	turn chan struct{} // holds one token: who took it writes
	last int64         // the number given last; -1 when it is not known
}

// Fields of a point's payload.
const (
	fieldTenant = "tenant" // the hash of its name
	fieldKind   = "kind"
	fieldSeq    = "seq"
	fieldData   = "data" // sealed
	fieldOf     = "of"   // of a change: the hash of the memory's id; of a record: its kind
	fieldTerms  = "terms"
	fieldLabels = "labels"
	fieldSame   = "same"
	fieldUntil  = "until" // of an idempotency key

	vectorTerms = "terms"
)

// Kinds of points.
const (
	kindMemory = "memory"
	kindChange = "change"
	kindAgent  = "agent"
	kindRecord = "record"
	kindOnce   = "once"
	kindGone   = "gone"
)

// Open connects, and makes the collection and its indexes if they are missing.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Keys == nil || c.Random == nil {
		return nil, errors.New("qdrant: Keys and Random are required")
	}
	if c.Host == "" {
		c.Host = "localhost"
	}
	if c.APIKey != "" && c.TLS == nil && c.Host != "localhost" && !net.ParseIP(c.Host).IsLoopback() {
		return nil, errors.New("qdrant: an API key is sent with TLS only")
	}
	if c.Collection == "" {
		c.Collection = "memories"
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Tries <= 0 {
		c.Tries = 4
	}
	client, err := qdrant.NewClient(&qdrant.Config{
		Host: c.Host, Port: c.Port, APIKey: c.APIKey, UseTLS: c.TLS != nil, TLSConfig: c.TLS, SkipCompatibilityCheck: true,
		GrpcOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20))},
	})
	if err != nil {
		return nil, fmt.Errorf("qdrant: %w", err)
	}
	s := &Store{Config: c, client: client, tenants: make(map[string]*tenant)}
	if err := s.setUp(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// setUp makes what is missing. It can be repeated, and by several at once.
func (s *Store) setUp(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		exists, err := s.client.CollectionExists(ctx, s.Collection)
		if err != nil {
			return err
		}
		if !exists {
			err := s.client.CreateCollection(ctx, &qdrant.CreateCollection{
				CollectionName: s.Collection,
				// One shard carries a write out as a whole.
				ShardNumber:         qdrant.PtrOf(uint32(1)),
				OnDiskPayload:       qdrant.PtrOf(true),
				SparseVectorsConfig: qdrant.NewSparseVectorsConfig(map[string]*qdrant.SparseVectorParams{vectorTerms: {}}),
			})
			if err != nil && status.Code(err) != codes.AlreadyExists && status.Code(err) != codes.InvalidArgument {
				return err
			}
			if exists, err = s.client.CollectionExists(ctx, s.Collection); err != nil || !exists {
				return errors.Join(err, errors.New("qdrant: the collection cannot be made"))
			}
		}
		index := func(field string, kind qdrant.FieldType, params *qdrant.PayloadIndexParams) error {
			_, err := s.client.CreateFieldIndex(ctx, &qdrant.CreateFieldIndexCollection{CollectionName: s.Collection,
				Wait: qdrant.PtrOf(true), FieldName: field, FieldType: kind.Enum(), FieldIndexParams: params})
			return err
		}
		tenant := qdrant.NewPayloadIndexParamsKeyword(&qdrant.KeywordIndexParams{IsTenant: qdrant.PtrOf(true)})
		if err := index(fieldTenant, qdrant.FieldType_FieldTypeKeyword, tenant); err != nil {
			return err
		}
		for _, field := range []string{fieldKind, fieldOf, fieldTerms, fieldLabels, fieldSame, "agent", "user", "app", "run", "type", "status", "held", "hold"} {
			if err := index(field, qdrant.FieldType_FieldTypeKeyword, nil); err != nil {
				return err
			}
		}
		for _, field := range []string{fieldSeq, fieldUntil, "created", "updated", "expires", "provisional", "expired_at"} {
			if err := index(field, qdrant.FieldType_FieldTypeInteger, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// call runs a request again when Qdrant did not get it or could not take it, a bounded number of times. Every request
// of this package comes to the same however often it is carried out.
func (s *Store) call(ctx context.Context, do func(context.Context) error) error {
	wait := 25 * time.Millisecond
	for try := 1; ; try++ {
		one, cancel := context.WithTimeout(ctx, s.Timeout)
		err := do(one)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		code := codeOf(err)
		switch code {
		case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Canceled:
		default:
			return fmt.Errorf("qdrant: %w", err)
		}
		if try >= s.Tries {
			return fmt.Errorf("%w: qdrant: %w", memory.ErrBusy, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait *= 4
	}
}

// codeOf finds the gRPC code in an error that the client may have wrapped.
func codeOf(err error) codes.Code {
	if errors.Is(err, context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	var limited *qdrant.QdrantResourceExhaustedError
	if errors.As(err, &limited) {
		return codes.ResourceExhausted
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if st, ok := e.(interface{ GRPCStatus() *status.Status }); ok {
			return st.GRPCStatus().Code()
		}
	}
	return codes.Unknown
}

// Ready implements memory.Store.
func (s *Store) Ready(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		exists, err := s.client.CollectionExists(ctx, s.Collection)
		if err == nil && !exists {
			err = errors.New("the collection is gone")
		}
		return err
	})
}

// Close implements memory.Store. Calls under way fail.
func (s *Store) Close() error { return s.client.Close() }

// keys returns the keys of a tenant; nil when there is no such tenant.
func (s *Store) keys(ctx context.Context, tenant string, fresh bool) (*crypt.Tenant, error) {
	k, err := s.Keys.Tenant(ctx, tenant, fresh)
	if errors.Is(err, crypt.ErrNoKeys) {
		return nil, nil
	}
	return k, classify(err)
}

// classify gives the errors of keys and of what they open their meaning.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, crypt.ErrUnavailable):
		return fmt.Errorf("%w: %w", memory.ErrKeys, err)
	case errors.Is(err, crypt.ErrSealed), errors.Is(err, crypt.ErrNoKeys), errors.Is(err, crypt.ErrWrongMaster):
		return fmt.Errorf("%w: %w", memory.ErrCorrupt, err)
	}
	return err
}
