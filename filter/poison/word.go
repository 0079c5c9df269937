package poison

// endWord ends the word that is being read.
func (s *Scanner) endWord() {
	s.position++
	s.count++
	h, n := s.h, s.n
	if s.listen != nil {
		*s.listen = append(*s.listen, h)
	}
	if s.watch&watchMail != 0 {
		s.watch &^= watchMail
		if s.separators == 1 {
			s.take(hashMail, 0)
		}
	}
	if n == 1 && s.separators == 1 && s.nspelled > 0 && s.all&0x40 != 0 {
		s.spelled = next(s.spelled, byte(h))
		s.nspelled++
	} else {
		s.endSpelled()
		if n == 1 {
			s.spelled, s.nspelled = h, 1
			s.watch |= watchSpelled
		}
	}
	steps := s.words.find(h)
	if steps == nil && s.all&0x40 == 0 && n >= 4 && s.nraw >= n {
		if h = unleet(s.raw[:n]); h != 0 {
			if steps = s.words.find(h); steps != nil && phrased(steps) {
				s.hit(obfuscated)
			}
		}
	}
	if s.alike > 0 {
		switch {
		case steps != nil && n >= 4 && phrased(steps):
			s.hit(confusable)
		case s.folded < n:
			if s.mixed++; s.mixed == 4 {
				s.hit(confusable)
			}
		}
	}
	if s.decoded && n >= 4 && phrased(steps) {
		s.hit(encoded)
	}
	if steps != nil {
		s.steps(steps, n)
	}
	if s.lastOwn != nil {
		s.advance(s.set.phrases.find(h), s.lastOwn)
	}
	s.punctuation, s.separators = 0, 0
	s.beginWord()
}

// phrased reports whether a word is in phrases, and does not only mean something.
func phrased(steps []step) bool {
	return len(steps) > 0 && steps[len(steps)-1].state < firstMeaning
}

var hashMail, hashURL = hashOf(wordMail), hashOf(wordURL)

// take takes a word that is not in the text as such.
func (s *Scanner) take(h uint64, n int) {
	if steps := s.words.find(h); steps != nil {
		s.steps(steps, n)
	}
}

// steps follows the phrases that go on with a word of n letters.
func (s *Scanner) steps(steps []step, n int) {
	negates := false
	for len(steps) > 0 && steps[0].state >= firstMeaning {
		if steps[0].state == meansNegation {
			negates = true
		} else {
			s.mean(steps[0].state, n)
		}
		steps = steps[1:]
	}
	s.advance(steps, s.last)
	if negates {
		s.negated = s.position
	}
}

func (s *Scanner) advance(steps []step, last []int32) {
	for i := range steps {
		t := &steps[i]
		if t.before != t.state {
			if s.position-last[t.before] > int32(t.gap)+1 {
				continue
			}
		} else if t.unless && s.position-s.negated <= 1 {
			continue
		}
		last[t.state] = s.position
		s.hot = s.position + maxGap + 1
		if t.rule != numRules {
			s.hit(t.rule)
		}
	}
}

// endSpelled ends a row of letters that stand alone.
func (s *Scanner) endSpelled() {
	n := s.nspelled
	s.nspelled = 0
	s.watch &^= watchSpelled
	if n < 4 {
		return
	}
	if steps := s.words.find(s.spelled); steps != nil && phrased(steps) {
		s.hit(obfuscated)
		s.steps(steps, n)
	}
}

// unleet is the hash of a word with letters for the digits that look like them, 0 for
// one without letters.
func unleet(word []byte) uint64 {
	h, letters := uint64(0), 0
	for _, c := range word {
		k := byteKind[c]
		switch k {
		case '0':
			k = 'o'
		case '1':
			k = 'i'
		case '3':
			k = 'e'
		case '4':
			k = 'a'
		case '5':
			k = 's'
		case '7':
			k = 't'
		case '8':
			k = 'b'
		case '9':
			k = 'g'
		default:
			if k < 'a' {
				return 0
			}
			letters++
		}
		h = next(h, k)
	}
	if letters < 2 {
		return 0
	}
	return h
}

// wordsOf returns the hashes of the words of a phrase of the policy.
func (s *Scanner) wordsOf(phrase string) ([]uint64, error) {
	var words []uint64
	s.listen = &words
	for i := range len(phrase) { // by bytes, as a word in one piece may not be looked at
		s.Write([]byte{phrase[i]})
	}
	s.End()
	switch {
	case len(words) == 0:
		return nil, errNoWords
	case len(words) > MaxWords:
		return nil, errManyWords
	}
	return words, nil
}
