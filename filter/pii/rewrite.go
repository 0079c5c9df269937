package pii

import "errors"

// Errors of a [Rewriter]. After one, nothing more comes out of it until it is
// reset, and what came out before is not a whole body.
var (
	// ErrMalformed says that the body is not of its format.
	ErrMalformed = errors.New("malformed body")
	// ErrTooDeep says that JSON is nested deeper than allowed.
	ErrTooDeep = errors.New("body nested too deep")
)

// BlockedError says that the body has an entity whose action is [Block].
type BlockedError struct {
	Entity Entity
}

func (e *BlockedError) Error() string { return "blocked: " + e.Entity.String() }

// Config is what a [Rewriter] does.
type Config struct {
	// Format is how the body is read.
	Format Format
	// Policy is what is done with each entity. When all of it is [Allow],
	// nothing is searched for, and the body is only checked.
	Policy Policy
	// HashKey is the key of the action [Hash].
	HashKey []byte
	// MaxDepth is how deep JSON may be nested. Zero means [DefaultMaxDepth]; at most
	// 1024 is possible.
	MaxDepth int
	// Fields are limits of single members. They do not apply to text.
	Fields []FieldLimit
	// Lenient lets a malformed or too deep body go on as text, still searched.
	// It is for responses, whose sender would learn nothing from a refusal.
	Lenient bool
}

// DefaultMaxDepth is how deep JSON may be nested when the [Config] does not say.
const DefaultMaxDepth = 128

// Rewriter replaces the entities in a body while it passes. It is for one
// goroutine at a time.
type Rewriter struct {
	cfg    Config
	counts [NumEntities]uint32
}

// NewRewriter returns a rewriter for one body; [Rewriter.Reset] makes it ready
// for the next.
func NewRewriter(cfg Config) *Rewriter { return &Rewriter{cfg: cfg} }

// Reset forgets everything of the last body, so that the rewriter can be used
// for another under the same [Config].
func (r *Rewriter) Reset() { r.counts = [NumEntities]uint32{} }

// SetHashKey replaces [Config.HashKey]. It is called before the first Write.
func (r *Rewriter) SetHashKey(key []byte) { r.cfg.HashKey = key }

// Write reads the next piece of the body and appends to dst what can go on.
// It keeps no reference to chunk, which must not overlap the free space of dst.
func (r *Rewriter) Write(dst, chunk []byte) ([]byte, error) { return dst, ErrMalformed }

// Close ends the body and appends the rest of it to dst.
func (r *Rewriter) Close(dst []byte) ([]byte, error) { return dst, ErrMalformed }

// Counts returns how many of each entity were found and acted on since the
// last Reset. It is valid until the next call of a method.
func (r *Rewriter) Counts() *[NumEntities]uint32 { return &r.counts }
