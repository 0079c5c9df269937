package pii

import (
	"bytes"
	"errors"

	"github.com/memgate/memgate/filter/jsonstream"
)

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
	// MaxDepth is how deep JSON may be nested: at most [jsonstream.MaxDepth].
	// Zero stands for [DefaultMaxDepth].
	MaxDepth int
	// Fields are limits of single members of JSON, of each line of NDJSON, and
	// of a form. They do not apply to text.
	Fields []FieldLimit
	// Identifiers are the paths of members of JSON, as [FieldLimit] has them but
	// for case, which counts: values by which a caller finds things again, and
	// which are left as they are, with all that is in them. They apply to JSON
	// and NDJSON.
	Identifiers []string
	// Redact are the paths of members, as [FieldLimit] has them, that nobody gets to see:
	// each string, number, true and false in them is replaced by [Redacted], and counts
	// as [Custom]. They apply to JSON, to each line of NDJSON, to the JSON of events, and
	// to the names of forms, and win over Identifiers. What Lenient lets go on as
	// text has no members.
	Redact []string
	// Named are groups of paths, as [FieldLimit] has them, of members that name
	// what [Rewriter.Expect] says of their group; at most [MaxNamed]. They apply
	// to JSON, to each line of NDJSON, and to forms.
	Named [][]string
	// Noted are the groups of Named whose members may hold anything: what differs is
	// no error, and [Rewriter.Differs] tells of it.
	Noted [MaxNamed]bool
	// Deltas are the paths, in the JSON of each event of a stream, of strings that
	// are fragments of a text, which is searched as one, beside those that are
	// known. The path "." stands for data that is text.
	Deltas []string
	// Part says how the parts of [Multipart] are read. OtherParts lets those that
	// cannot be read go on as they are; otherwise they are [ErrUninspectable].
	Part       PartFormat
	OtherParts bool
	// Lenient lets JSON that is malformed or too deep go on as text, which is
	// still searched. It is for responses: a refusal would not reach whom it
	// could teach.
	Lenient bool
	// Texts, if not nil, gets to know all texts of the body beside.
	Texts Texts
}

// Texts reads the texts of a body: of JSON and NDJSON each string and name, of a form
// each name and value, of parts what they are read as, and the whole of what is read as
// text, event streams among it. It gets them as they are sent, but for the escapes of JSON
// and of forms, and whatever is done with what is found in them; what comes behind a fault
// it may not get.
type Texts interface {
	// Write takes the next piece of a text. It keeps no reference to it.
	Write(text []byte)
	// End ends the text.
	End()
}

// DefaultMaxDepth is how deep JSON may be nested when the [Config] does not say.
const DefaultMaxDepth = 128

// mode is how the next byte is read.
type mode uint8

const (
	modeJSON mode = iota
	modeText
	modeEscapedText // text in which the escapes of JSON are decoded
	modeForm
)

// Rewriter replaces the entities in a body while the body passes, in one pass and
// in constant memory. All other bytes stay as they are, and what comes out does not
// depend on how the body is cut. It is for one goroutine at a time.
//
// Of JSON each string, name and number is searched on its own, with escapes
// decoded; a name is left context of its value. A number with a finding
// becomes a string.
type Rewriter struct {
	cfg    Config
	acting bool // an entity has an action
	search bool // so it is searched for, or pseudonyms are
	mode   mode
	err    error
	counts [NumEntities]uint32

	lex   jsonstream.Lexer
	limit *limiter  // nil without limits
	spare *marked   // nil without identifiers
	hide  *marked   // nil without values that are always redacted
	named *comparer // nil without members to compare

	events *events // of an event stream; nil for all else
	multi  *parts  // of a body with parts; nil for all else

	pseudonyms *Pseudonyms // nil without keys
	reveals    bool        // those in the body are opened
	opened     uint32
	opening    []byte

	hidden bool // what stands for the value that is being read is written

	skips    []int // offsets of strings that are left as they are, in order
	skipped  []int // where those that were passed stand in what came out
	skipping bool

	win      window // decoded text that is being searched
	scanner  Scanner
	findings []Finding
	inText   bool   // win has text that has not ended
	name     []byte // part of the chunk: a name that is to be the context
	context  []byte // of the next value; at most Context bytes
	scalar   scalar
	nested   nested
	form     form
	resume   int             // offset at which text begins behind malformed JSON
	pend     [maxEscape]byte // an escape of text or a form that the chunk's end splits
	npend    int
	joint    [2 * maxEscape]byte // room for it with what follows
	pendFold [maxFold]byte       // a sequence that is folded, perhaps, that a part's end splits
	nfold    int
	scratch  []byte
	parts    gathered // of a value that comes in parts

	chunk   []byte
	chunkAt int    // offset of chunk[0] in the body
	held    []byte // what came before chunk and did not go on yet
	heldAt  int
	done    int // offset behind what has gone on, or was replaced
}

// NewRewriter returns a rewriter for one body; [Rewriter.Reset] makes it ready
// for the next.
func NewRewriter(cfg Config) *Rewriter {
	r := &Rewriter{cfg: cfg}
	if r.cfg.MaxDepth <= 0 {
		r.cfg.MaxDepth = DefaultMaxDepth
	}
	r.acting = cfg.Policy.Searches() || len(cfg.Redact) > 0
	r.scanner.Custom = cfg.Policy.Custom
	if len(cfg.Fields) > 0 && (cfg.Format == JSON || cfg.Format == NDJSON || cfg.Format == Form || cfg.Format == Multipart) {
		r.limit = newLimiter(cfg.Fields)
	}
	if cfg.Format == JSON || cfg.Format == NDJSON || cfg.Format == Form || cfg.Format == Multipart {
		r.named = newComparer(cfg.Named, cfg.Noted)
	}
	if len(cfg.Identifiers) > 0 && (cfg.Format == JSON || cfg.Format == NDJSON) {
		r.spare = newMarked(jsonstream.NewExactPaths(cfg.Identifiers))
	}
	if len(cfg.Redact) > 0 && (cfg.Format == JSON || cfg.Format == NDJSON || cfg.Format == Form) {
		r.hide = newMarked(jsonstream.NewPaths(cfg.Redact))
	}
	r.search = r.acting
	switch {
	case cfg.Format == SSE:
		r.events = newEvents(r)
	case cfg.Format == Multipart:
		r.multi = newParts(r)
	}
	r.Reset()
	return r
}

// Reset forgets everything of the last body, so that the rewriter can be used
// for another under the same [Config]. Its memory is kept.
func (r *Rewriter) Reset() {
	r.err, r.counts, r.opened = nil, [NumEntities]uint32{}, 0
	r.win.begin(nil, 0)
	r.clearContext()
	r.inText, r.scalar, r.npend, r.nfold = false, scalar{}, 0, 0
	r.nested.begin()
	r.chunk, r.chunkAt, r.held, r.heldAt, r.done = nil, 0, r.held[:0], 0, 0
	switch r.cfg.Format {
	case JSON, NDJSON:
		r.mode = modeJSON
		r.lex.Reset(jsonstream.Options{MaxDepth: r.cfg.MaxDepth, Lines: r.cfg.Format == NDJSON, Lenient: r.cfg.Lenient})
	case Form:
		r.mode = modeForm
		r.form = form{}
	default:
		r.mode = modeText
	}
	r.skipped, r.skipping = r.skipped[:0], false
	if r.events != nil {
		r.events.reset()
	}
	if r.multi != nil {
		r.multi.reset()
	}
	if r.spare != nil {
		r.spare.reset()
	}
	if r.hide != nil {
		r.hide.reset()
		if r.mode == modeForm {
			r.hide.at.Open(true)
		}
	}
	if r.limit != nil {
		r.limit.reset()
		if r.mode == modeForm {
			r.limit.formName()
		}
	}
	if r.named != nil {
		r.named.want, r.named.differs = [MaxNamed]string{}, [MaxNamed]bool{}
		r.named.reset()
		if r.mode == modeForm {
			r.named.pair()
		}
	}
}

// Expect says what the members of a group of [Config.Named] must name in this body,
// "" for anything. It is called before the first Write, and holds until Reset.
func (r *Rewriter) Expect(group int, value string) {
	if r.named != nil {
		r.named.want[group] = value
	}
}

// Differs reports whether a member of a group of [Config.Noted] held something else than
// was to be expected, in what was read of the body.
func (r *Rewriter) Differs(group int) bool { return r.named != nil && r.named.differs[group] }

// SetHashKey replaces [Config.HashKey], so that one rewriter serves several
// tenants. It is called before the first Write. The key is not copied.
func (r *Rewriter) SetHashKey(key []byte) {
	r.cfg.HashKey = key
	if r.events != nil {
		r.events.setHashKey(key)
	}
	if r.multi != nil {
		r.multi.setHashKey(key)
	}
}

// Write reads the next piece of the body and appends to dst what can go on. It
// holds back only what could become part of an entity, or is in the middle of an
// escape. It keeps no reference to chunk, which must not overlap dst.
func (r *Rewriter) Write(dst, chunk []byte) ([]byte, error) {
	if r.err != nil {
		return dst, r.err
	}
	if r.events != nil && r.cfg.Texts != nil {
		r.cfg.Texts.Write(chunk)
	}
	switch {
	case r.events != nil && r.search:
		dst, r.err = r.events.write(dst, chunk)
		return dst, r.err
	case r.multi != nil:
		dst, r.err = r.multi.write(dst, chunk)
		return dst, r.err
	}
	r.chunk = chunk
	dst = r.read(dst)
	if r.err != nil {
		return dst, r.err
	}
	end := r.chunkAt + len(chunk)
	dst = r.emit(dst, r.releasable(end))
	r.hold(end)
	if r.name != nil {
		r.useContext()
	}
	return dst, nil
}

// read reads the chunk.
func (r *Rewriter) read(dst []byte) []byte {
	for at := r.chunkAt; r.err == nil; {
		if r.mode == modeJSON {
			r.lex.Feed(r.chunk[at-r.chunkAt:])
			if dst = r.json(dst); r.mode == modeJSON {
				break
			}
			at = r.resume
			continue
		}
		rest := r.chunk[at-r.chunkAt:]
		if r.cfg.Format == NDJSON {
			if n := bytes.IndexByte(rest, '\n') + 1; n > 0 {
				dst = r.text(dst, rest[:n], at)
				at += n
				dst = r.nextLine(dst, at)
				continue
			}
		}
		return r.text(dst, rest, at)
	}
	return dst
}

// nextLine reads on with JSON at the offset, behind a line that was not JSON.
func (r *Rewriter) nextLine(dst []byte, offset int) []byte {
	dst = r.closeText(dst)
	r.clearContext()
	r.mode = modeJSON
	r.lex.NextLine(offset)
	if r.spare != nil {
		r.spare.reset()
	}
	if r.limit != nil {
		r.limit.reset()
	}
	if r.named != nil {
		r.named.reset()
	}
	return dst
}

// Close ends the body and appends the rest of it to dst. Only Reset and Counts may
// follow.
func (r *Rewriter) Close(dst []byte) ([]byte, error) {
	if r.err != nil {
		return dst, r.err
	}
	if r.events != nil && r.cfg.Texts != nil {
		r.cfg.Texts.End()
	}
	switch {
	case r.events != nil && r.search:
		dst, r.err = r.events.close(dst)
		return dst, r.err
	case r.multi != nil:
		dst, r.err = r.multi.close(dst)
		return dst, r.err
	}
	if r.mode == modeJSON {
		dst = r.closeJSON(dst)
	}
	if r.mode != modeJSON && r.err == nil {
		dst = r.closeText(dst)
	}
	if r.err == nil {
		dst = r.emit(dst, r.chunkAt)
	}
	return dst, r.err
}

// Counts returns how many of each entity were found and not allowed since the
// last Reset. It is valid until the next call of a method.
func (r *Rewriter) Counts() *[NumEntities]uint32 { return &r.counts }

// releasable returns up to where the body can go on, of what was read to end.
func (r *Rewriter) releasable(end int) int {
	switch {
	case !r.search:
		return end
	case r.inText:
		return r.win.raw(r.win.from)
	case r.mode == modeJSON:
		end -= len(r.lex.Pending())
		if r.scalar.open && end-r.scalar.start <= maxScalar {
			return r.scalar.start
		}
		return end
	}
	return end - r.npend
}

// emit appends the body up to the offset as it is.
func (r *Rewriter) emit(dst []byte, to int) []byte {
	if r.done < r.chunkAt && r.done < to {
		n := min(to, r.chunkAt)
		dst = append(dst, r.held[r.done-r.heldAt:n-r.heldAt]...)
		r.done = n
	}
	if r.done < to {
		dst = append(dst, r.chunk[r.done-r.chunkAt:to-r.chunkAt]...)
		r.done = to
	}
	return dst
}

// hold keeps what has not gone on of the chunk, which ends at the offset.
func (r *Rewriter) hold(end int) {
	switch {
	case r.done >= r.chunkAt:
		r.held = append(r.held[:0], r.chunk[r.done-r.chunkAt:]...)
		r.heldAt = r.done
	case r.done-r.heldAt > len(r.held)/2:
		r.held = append(r.held[:copy(r.held, r.held[r.done-r.heldAt:])], r.chunk...)
		r.heldAt = r.done
	default:
		r.held = append(r.held, r.chunk...)
	}
	r.chunk, r.chunkAt = nil, end
}
