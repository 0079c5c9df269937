// Package qdrant keeps memories in Qdrant: one collection for all tenants, in which each memory, change, agent,
// record and idempotency key is a point.
//
// What a point says is sealed with the keys of its tenant; what Qdrant compares is a keyed hash, a time, a type
// or a status. Each write is one request that Qdrant carries out as a whole: what it takes away is overwritten
// by points without content, which are then deleted. Writers of one tenant take turns within a process, and one process
// at a time writes: the one that holds the lease of the collection.
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

	// Holder names this process among those that may write, of which one does at a time. A process that is
	// known to have taken the place of one that ended may have its name; "" for one of its own.
	Holder string
	// Lease is how long a process that has ended without saying so keeps others from writing; 15 s when 0, or three Timeouts
	// where these are more: what is begun is to end while the lease is held.
	Lease time.Duration

	// Existing makes Open fail where the collection or an index of it is missing, instead of making it.
	Existing bool
	// Space is that of the dense vectors that the collection keeps, unsealed; zero for none. Its length is the collection's
	// for good.
	Space memory.Space
}

// Store implements memory.Store.
type Store struct {
	Config
	client *qdrant.Client
	lease  *lease

	mu         sync.Mutex
	tenants    map[string]*tenant
	generation int // of what is known of tenants
}

var _ memory.VectorStore = (*Store)(nil)

// tenant is what a process knows of a tenant that it writes to.
type tenant struct {
	turn chan struct{} // holds one token: who took it writes
	last int64         // the number given last; -1 when it is not known
	of   int           // the generation in which it was known
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
	if c.Lease <= 0 {
		c.Lease = max(15*time.Second, 3*c.Timeout)
	}
	client, err := qdrant.NewClient(&qdrant.Config{
		Host: c.Host, Port: c.Port, APIKey: c.APIKey, UseTLS: c.TLS != nil, TLSConfig: c.TLS, SkipCompatibilityCheck: true,
		GrpcOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20))},
	})
	if err != nil {
		return nil, fmt.Errorf("qdrant: %w", err)
	}
	s := &Store{Config: c, client: client, tenants: make(map[string]*tenant)}
	if s.lease, err = newLease(s); err == nil {
		if c.Existing {
			err = s.present(ctx)
		} else {
			err = s.setUp(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// indexes are those of the collection. That of the tenant says that it is one.
var indexes = func() (list []struct {
	field string
	kind  qdrant.FieldType
}) {
	for kind, fields := range [][]string{
		qdrant.FieldType_FieldTypeKeyword: {fieldTenant, fieldKind, fieldOf, fieldTerms, fieldLabels, fieldSame, fieldSpace, "agent", "user", "app", "run", "type", "status", "held", "hold"},
		qdrant.FieldType_FieldTypeInteger: {fieldSeq, fieldUntil, fieldBeat, fieldCreated, "updated", "expires", "provisional", "expired_at"},
	} {
		for _, field := range fields {
			list = append(list, struct {
				field string
				kind  qdrant.FieldType
			}{field, qdrant.FieldType(kind)})
		}
	}
	return list
}()

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
				VectorsConfig:       s.denseConfig(),
				SparseVectorsConfig: qdrant.NewSparseVectorsConfig(map[string]*qdrant.SparseVectorParams{vectorTerms: {}}),
			})
			if err != nil && status.Code(err) != codes.AlreadyExists && status.Code(err) != codes.InvalidArgument {
				return err
			}
			if exists, err = s.client.CollectionExists(ctx, s.Collection); err != nil || !exists {
				return errors.Join(err, errors.New("qdrant: the collection cannot be made"))
			}
		}
		if err := s.checkDense(ctx); err != nil {
			return err
		}
		for _, index := range indexes {
			request := &qdrant.CreateFieldIndexCollection{CollectionName: s.Collection, Wait: qdrant.PtrOf(true), FieldName: index.field, FieldType: index.kind.Enum()}
			if index.field == fieldTenant {
				request.FieldIndexParams = qdrant.NewPayloadIndexParamsKeyword(&qdrant.KeywordIndexParams{IsTenant: qdrant.PtrOf(true)})
			}
			if _, err := s.client.CreateFieldIndex(ctx, request); err != nil {
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

// Ready implements memory.Store. A process is not ready while another one writes, so that of several that are asked by their
// readiness one gets all requests, and the next when it ends.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.call(ctx, func(ctx context.Context) error {
		exists, err := s.client.CollectionExists(ctx, s.Collection)
		if err == nil && !exists {
			err = errors.New("the collection is gone")
		}
		return err
	}); err != nil {
		return err
	}
	return s.lease.ready(ctx)
}

// Close implements memory.Store. Calls under way fail.
func (s *Store) Close() error { return errors.Join(s.lease.release(), s.client.Close()) }

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
