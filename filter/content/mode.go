package content

// Mode says how a stage of the content filter acts on what it finds.
type Mode uint8

// The modes of a stage.
const (
	// Enforce: what the stage refuses is refused, what it rewrites is rewritten.
	Enforce Mode = iota
	// Shadow: it decides and reports all the same, and changes nothing.
	Shadow
	// Off: it does not look.
	Off
)

// Modes are those of the stages of the content filter.
type Modes struct {
	// Content is that of the checks of a request's body: encoding, type, length,
	// form, depth and fields.
	Content Mode
	// PII is that of the search for entities, in both directions. As what cannot
	// be read cannot be searched, it can be enforced only while Content is.
	PII Mode
	// CORS and Headers are those of the headers that are put on responses and
	// taken off them.
	CORS, Headers Mode
	// Poison is that of the score of a request's texts. It can be enforced only while
	// Content is.
	Poison Mode
	// Tenant and Agent are those of the comparison of what a request's body names.
	Tenant, Agent Mode
}

// Each mode has two bits in the encoded form.
const (
	modeBits  = 2
	modesMost = 1<<(7*modeBits) - 1
)

func (m Modes) number() uint64 {
	n := uint64(0)
	for i, mode := range m.all() {
		n |= uint64(mode) << (i * modeBits)
	}
	return n
}

// all are the modes in the order of the encoded form.
func (m Modes) all() [7]Mode {
	return [...]Mode{m.Content, m.PII, m.CORS, m.Headers, m.Poison, m.Tenant, m.Agent}
}

func modesOf(n uint64) Modes {
	mode := func(i int) Mode { return Mode(n >> (i * modeBits) & (1<<modeBits - 1)) }
	return Modes{mode(0), mode(1), mode(2), mode(3), mode(4), mode(5), mode(6)}
}

func (m Modes) validate() error {
	for _, mode := range m.all() {
		if mode > Off {
			return invalid("modes", nil)
		}
	}
	if m.Content != Enforce && m.PII == Enforce {
		return invalid("modes: pii", nil)
	}
	return nil
}
