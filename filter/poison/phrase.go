package poison

import (
	"strconv"
	"strings"
	"sync"
)

// The words that stand for an address.
const (
	wordURL  = "ADDRESS-URL"
	wordMail = "ADDRESS-MAIL"
)

// never is the position of a step that was never taken. It is further from all others
// than any gap.
const never = -1 << 20

// step is a word that is due in a phrase.
type step struct {
	state  uint16 // of the phrase up to this word
	before uint16 // state that must have been reached; state itself for the first word
	gap    uint8  // how many other words may stand between
	rule   number // that holds with this word, numRules for none
	unless bool   // not behind a negation
}

// matcher finds phrases in words.
type matcher struct {
	words map[uint64]int32 // hash of a word to its place in steps, until table is made
	table []slot           // by the upper bits of a product of the hash
	shift uint
	steps [][]step
	count int // of states
}

type slot struct {
	hash  uint64
	steps int32 // index into steps, from 1 on; 0 for an empty slot
	late  bool  // the word begins no phrase, and means nothing beside phrases
}

// maxGap is how many words may stand between two of a phrase.
const maxGap = 15

// What a word means beside its phrases, in place of a state.
const (
	firstMeaning  = 0xFFF0
	meansNegation = 0xFFFF // phrases that begin with ! do not count behind it
	meansScheme   = 0xFFFE // of a URL
	meansSystem   = 0xFFFD // system, in marks of chats
	meansSpeaker  = 0xFFFC // who else speaks in a chat
	meansMark     = 0xFFFB // any word between <| and |>
	meansInst     = 0xFFFA // of [INST]
	meansTurn     = 0xFFF9 // of <start_of_turn>
	meansElement  = 0xFFF8 // an element of HTML that loads something
	meansOrder    = 0xFFF7 // of a heading such as ### Instruction:
)

var meanings = []struct {
	means uint16
	words string
}{
	{meansNegation, negations},
	{meansScheme, "http https"},
	{meansSystem, "system"},
	{meansSpeaker, "assistant human ai"},
	{meansMark, "im system user assistant endoftext start end eot begin eom channel message tool python return call constrain fim pad developer"},
	{meansInst, "inst sys"},
	{meansTurn, "turn"},
	{meansElement, "img iframe script object embed video audio source link"},
	{meansOrder, "instruction instructions input"},
}

func newMatcher() *matcher { return &matcher{words: make(map[uint64]int32)} }

func hashOf(word string) uint64 {
	h := uint64(0)
	for i := 0; i < len(word); i++ {
		h = next(h, word[i])
	}
	return h
}

// next is the hash of a word with one more letter.
func next(h uint64, c byte) uint64 { return (h<<5 | h>>59) ^ uint64(c) }

func (m *matcher) add(word string, s step) { m.addHash(hashOf(word), s) }

func (m *matcher) addHash(h uint64, s step) {
	i, known := m.words[h]
	if !known {
		i = int32(len(m.steps))
		m.words[h] = i
		m.steps = append(m.steps, nil)
	}
	// The last step first, so that one word does not take two of a phrase.
	m.steps[i] = append([]step{s}, m.steps[i]...)
}

// phrase adds a phrase of a rule; see [Rule.Phrases]. It must be well-formed.
func (m *matcher) phrase(text string, rule number) {
	text, unless := strings.CutPrefix(text, "!")
	fields := strings.Fields(text)
	gap, before := 0, -1
	for i, field := range fields {
		if rest, ok := strings.CutPrefix(field, "+"); ok {
			gap, _ = strconv.Atoi(rest)
			continue
		}
		s := step{state: uint16(m.count), before: uint16(m.count), gap: uint8(gap), rule: numRules, unless: unless && before < 0}
		if before >= 0 {
			s.before = uint16(before)
		}
		if i == len(fields)-1 {
			s.rule = rule
		}
		for _, word := range wordsOf(field) {
			m.add(word, s)
		}
		before, gap = m.count, 0
		m.count++
	}
}

// wordsOf returns the words that a field of a phrase stands for, each once.
func wordsOf(field string) []string {
	var out []string
	seen := make(map[string]bool)
	for name := range strings.SplitSeq(field, "|") {
		list := name
		if strings.HasPrefix(name, "[") {
			list = ""
			for group := range strings.SplitSeq(strings.Trim(name, "[]"), "][") {
				list += " " + groups[group]
			}
		}
		for _, word := range strings.Fields(list) {
			if !seen[word] {
				seen[word] = true
				out = append(out, word)
			}
		}
	}
	return out
}

// finish makes the table.
func (m *matcher) finish() {
	size := 256
	for size < 4*len(m.words) {
		size *= 2
	}
	m.shift = 64
	for n := size; n > 1; n /= 2 {
		m.shift--
	}
	m.table = make([]slot, size)
	for h, i := range m.words {
		at := m.place(h)
		for m.table[at].steps != 0 {
			at = (at + 1) & (size - 1)
		}
		late := true
		for _, s := range m.steps[i] {
			late = late && s.before != s.state && s.state < firstMeaning
		}
		m.table[at] = slot{h, i + 1, late}
	}
	m.words = nil
}

func (m *matcher) place(h uint64) int { return int(h * 0x9E3779B97F4A7C15 >> m.shift) }

// find returns the steps of a word, nil for one that is in no phrase.
func (m *matcher) find(h uint64) []step {
	for at := m.place(h); ; at = (at + 1) & (len(m.table) - 1) {
		switch s := &m.table[at]; {
		case s.steps == 0:
			return nil
		case s.hash == h:
			return m.steps[s.steps-1]
		}
	}
}

// known is the matcher of [Rules].
var known = sync.OnceValue(func() *matcher {
	m := newMatcher()
	for i := range rules {
		for _, language := range [...]string{"", "en", "de", "fr", "es"} {
			for _, phrase := range rules[i].Phrases[language] {
				m.phrase(phrase, number(i))
			}
		}
	}
	for _, n := range meanings {
		for word := range strings.FieldsSeq(n.words) {
			m.add(word, step{state: n.means, rule: numRules})
		}
	}
	m.finish()
	return m
})

// sequence adds words that follow on each other, by their hashes.
func (m *matcher) sequence(words []uint64, rule number) {
	for i, h := range words {
		s := step{state: uint16(m.count), before: uint16(m.count), rule: numRules}
		if i > 0 {
			s.before--
		}
		if i == len(words)-1 {
			s.rule = rule
		}
		m.addHash(h, s)
		m.count++
	}
}
