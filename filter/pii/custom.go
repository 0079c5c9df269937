package pii

import (
	"math/bits"
	"strconv"
)

// Limits of a [CustomConfig].
const (
	// MaxRules is the number of rules.
	MaxRules = 32
	// MaxName is the length of a rule's name in bytes.
	MaxName = 48
	// MaxWords is the number of words of all rules, and of allowed values.
	MaxWords = 2000
	// MaxWord is the length of a word, a prefix or an allowed value in bytes.
	MaxWord = 64
	// MaxPatterns is the number of patterns of all rules.
	MaxPatterns = 64
	// MaxPattern is the length of a pattern in bytes.
	MaxPattern = 256
	// maxCustom is the longest value of a rule in bytes.
	maxCustom = 128
	// minTail is how many bytes stand behind a prefix at least.
	minTail = 4
)

// CustomRule is what a policy adds to the entities: values that are told by a list of
// words, by how they begin, or by a pattern. A value begins and ends where a word does.
type CustomRule struct {
	// Name stands in place of a value that is redacted: capitals, digits and underscores.
	Name string
	// Words are whole values. ASCII letters are equal in both cases.
	Words []string
	// Prefixes begin values that go on with at least four letters, digits, hyphens
	// or underscores.
	Prefixes []string
	// Patterns are in the language of [CheckPattern].
	Patterns []string
}

// CustomConfig is what [NewCustom] compiles.
type CustomConfig struct {
	Rules []CustomRule
	// Allow are values that are left as they are, whatever entity they are of. ASCII
	// letters are equal in both cases.
	Allow []string
}

// CustomError says what is wrong with a [CustomConfig].
type CustomError struct {
	// Rule is the number of the rule, or -1 for an allowed value.
	Rule int
	// Part is "name", "words", "prefixes", "patterns" or "allow".
	Part string
	// Index is the number of the entry in the part.
	Index int
	// Offset is where in a pattern the fault is, in bytes.
	Offset int
	// Reason says what it is.
	Reason string
}

func (e *CustomError) Error() string {
	s := "custom entity"
	if e.Rule >= 0 {
		s += " " + strconv.Itoa(e.Rule)
	}
	return s + ": " + e.Part + "[" + strconv.Itoa(e.Index) + "]: " + e.Reason
}

// CustomRules are compiled rules. They are safe for concurrent use.
type CustomRules struct {
	cfg      CustomConfig
	edges    map[uint32]uint32 // of the tree of words and prefixes: node and byte to node
	word     map[uint32]uint8  // node to the rule of which it ends a word, plus one
	prefix   map[uint32]uint8  // likewise of a prefix
	patterns []pattern
	owner    []uint8 // rule of each pattern
	allow    map[string]struct{}
	begins   [256]bool   // a value can begin with the byte
	tree     [256]bool   // a word or prefix can
	which    [256]uint64 // patterns that can
}

// NewCustom compiles rules. The error is a [*CustomError].
func NewCustom(cfg CustomConfig) (*CustomRules, error) {
	c := &CustomRules{cfg: cfg, edges: map[uint32]uint32{}, word: map[uint32]uint8{}, prefix: map[uint32]uint8{}, allow: map[string]struct{}{}}
	fail := func(rule int, part string, index, offset int, reason string) (*CustomRules, error) {
		return nil, &CustomError{rule, part, index, offset, reason}
	}
	if len(cfg.Rules) > MaxRules {
		return fail(MaxRules, "name", 0, 0, "more than "+strconv.Itoa(MaxRules)+" rules")
	}
	nodes, words := uint32(0), 0
	for n, r := range cfg.Rules {
		if !ruleName(r.Name) {
			return fail(n, "name", 0, 0, "a name is capitals, digits and underscores, from a capital on, at most "+strconv.Itoa(MaxName))
		}
		if _, taken := ParseEntity(r.Name); taken {
			return fail(n, "name", 0, 0, "there is an entity of that name")
		}
		if len(r.Words)+len(r.Prefixes)+len(r.Patterns) == 0 {
			return fail(n, "name", 0, 0, "the rule has neither words, prefixes nor patterns")
		}
		for _, list := range [...]struct {
			part  string
			words []string
			ends  map[uint32]uint8
		}{{"words", r.Words, c.word}, {"prefixes", r.Prefixes, c.prefix}} {
			for k, w := range list.words {
				if len(w) < 2 || len(w) > MaxWord {
					return fail(n, list.part, k, 0, "it has between 2 and "+strconv.Itoa(MaxWord)+" bytes")
				}
				if words++; words > MaxWords {
					return fail(n, list.part, k, 0, "more than "+strconv.Itoa(MaxWords)+" words and prefixes in all")
				}
				node := uint32(0)
				for i := range len(w) {
					key := node<<8 | uint32(lower(w[i]))
					next, ok := c.edges[key]
					if !ok {
						nodes++
						next = nodes
						c.edges[key] = next
					}
					node = next
				}
				if _, ok := list.ends[node]; !ok {
					list.ends[node] = uint8(n + 1)
				}
				for _, b := range [...]byte{lower(w[0]), upper(w[0])} {
					c.begins[b], c.tree[b] = true, true
				}
			}
		}
		for k, text := range r.Patterns {
			if len(c.patterns) == MaxPatterns {
				return fail(n, "patterns", k, 0, "more than "+strconv.Itoa(MaxPatterns)+" patterns in all")
			}
			p, err := parsePattern(text)
			if err != nil {
				return fail(n, "patterns", k, err.Offset, err.Error())
			}
			for b := range 256 {
				if p.first.and(p.accept[b]).any() {
					c.begins[b] = true
					c.which[b] |= 1 << len(c.patterns)
				}
			}
			c.patterns = append(c.patterns, *p)
			c.owner = append(c.owner, uint8(n))
		}
	}
	if len(cfg.Allow) > MaxWords {
		return fail(-1, "allow", MaxWords, 0, "more than "+strconv.Itoa(MaxWords)+" values")
	}
	for k, v := range cfg.Allow {
		if v == "" || len(v) > MaxWord {
			return fail(-1, "allow", k, 0, "it has between 1 and "+strconv.Itoa(MaxWord)+" bytes")
		}
		c.allow[string(appendLower(nil, []byte(v)))] = struct{}{}
	}
	return c, nil
}

// Config returns what the rules were compiled from.
func (c *CustomRules) Config() CustomConfig {
	if c == nil {
		return CustomConfig{}
	}
	return c.cfg
}

// name returns what stands in place of a finding of the rule.
func (c *CustomRules) name(rule uint8) string {
	if c == nil || rule == 0 || int(rule) > len(c.cfg.Rules) {
		return Custom.String()
	}
	return c.cfg.Rules[rule-1].Name
}

func ruleName(s string) bool {
	if s == "" || len(s) > MaxName || kind[s[0]]&isUpper == 0 {
		return false
	}
	for i := range len(s) {
		if kind[s[i]]&(isUpper|isDigit) == 0 && s[i] != '_' {
			return false
		}
	}
	return true
}

func appendLower(dst, v []byte) []byte {
	for _, c := range v {
		dst = append(dst, lower(c))
	}
	return dst
}

// allows says whether the value is one that is left as it is.
func (c *CustomRules) allows(value []byte) bool {
	if len(c.allow) == 0 || len(value) > MaxWord {
		return false
	}
	var room [MaxWord]byte
	_, ok := c.allow[string(appendLower(room[:0], value))]
	return ok
}

// next returns the first place from i on where a value can begin, or len(b).
func (c *CustomRules) next(b []byte, i int) int {
	for ; i < len(b); i++ {
		if c.begins[b[i]] && (i == 0 || !word(b[i-1]) || !word(b[i]) || escaped(b, i)) {
			return i
		}
	}
	return i
}

// match returns the end of the longest value that begins at b[i], and its rule, counted
// from one. Of two of one length that of the first kind counts: word, prefix, pattern.
func (c *CustomRules) match(b []byte, i int, final bool) (end int, rule uint8, v verdict) {
	ends := func(j int) bool { return j == len(b) || !word(b[j]) || !word(b[j-1]) }
	if c.tree[b[i]] {
		node := uint32(0)
		for j := i; ; {
			if j == len(b) {
				if !final {
					return 0, 0, more
				}
				break
			}
			next, ok := c.edges[node<<8|uint32(lower(b[j]))]
			if !ok {
				break
			}
			node = next
			j++
			if r := c.word[node]; r != 0 {
				if j == len(b) && !final {
					return 0, 0, more
				}
				if ends(j) {
					end, rule = j, r
				}
			}
			if r := c.prefix[node]; r != 0 {
				k := j
				for k < len(b) && k-i < maxCustom && (kind[b[k]]&isB64URL != 0) {
					k++
				}
				if k == len(b) && !final && k-i < maxCustom {
					return 0, 0, more
				}
				for k > j && b[k-1] == '-' {
					k--
				}
				if k-j >= minTail && k > end {
					end, rule = k, r
				}
			}
		}
	}
	for set := c.which[b[i]]; set != 0; set &= set - 1 {
		n := bits.TrailingZeros64(set)
		e, v := c.patterns[n].longest(b, i, final)
		if v == more {
			return 0, 0, more
		}
		if v == found && e > end {
			end, rule = e, c.owner[n]+1
		}
	}
	if end > 0 {
		return end, rule, found
	}
	return 0, 0, none
}
