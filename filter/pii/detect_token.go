package pii

// maxToken is the longest key or token with a prefix, in bytes.
const maxToken = 255

// tokenForm is how a key goes on after its prefix.
type tokenForm struct {
	entity Entity
	start  int    // of the prefix
	body   int    // after the prefix
	also   string // bytes allowed besides letters and digits
	least  int    // bytes of the body
	digit  bool   // the body needs a digit
	score  float32
}

// read reads the body of a token: the longest run of its bytes.
func (f *tokenForm) read(b []byte, final bool) (candidate, verdict) {
	j := f.body
	digits := false
	for ; j < len(b); j++ {
		c := b[j]
		if kind[c]&isAlnum == 0 && !allowed(f.also, c) {
			break
		}
		digits = digits || kind[c]&isDigit != 0
		if j-f.start >= maxToken {
			return candidate{}, none
		}
	}
	if j == len(b) && !final {
		return candidate{start: f.start}, more
	}
	for j > f.body && b[j-1] == '-' { // a dash after it
		j--
	}
	if j-f.body < f.least || f.digit && !digits || j < len(b) && b[j] == '_' {
		return candidate{}, none
	}
	return candidate{f.entity, f.start, j, f.score}, found
}

func allowed(set string, c byte) bool {
	for k := range len(set) {
		if set[k] == c {
			return true
		}
	}
	return false
}

// tokenBounded says whether a token may begin at b[i]: not in a word.
func tokenBounded(b []byte, i int) bool {
	return i == 0 || !word(b[i-1]) && b[i-1] != '-' || escaped(b, i)
}

// detectUnderscore looks at the '_' at b[i] for the prefixes that end with one.
func detectUnderscore(b []byte, i int, final bool) (candidate, verdict) {
	if i < 2 {
		return candidate{}, none
	}
	f := tokenForm{score: 0.97}
	switch b[i-1] {
	case 'p', 'o', 'u', 's', 'r': // ghp_ and its kin
		if i < 3 || b[i-2] != 'h' || b[i-3] != 'g' {
			return candidate{}, none
		}
		f.entity, f.start, f.body, f.also, f.least = GitHubToken, i-3, i+1, "_", 36
	case 'b': // github_pat_
		const name = "github"
		if i < len(name) || string(b[i-len(name):i]) != name {
			return candidate{}, none
		}
		f.entity, f.start, f.also, f.least = GitHubToken, i-len(name), "_", 50
		if v := hasPrefix(b, i, "_pat_", final); v != found {
			return candidate{start: f.start}, v
		}
		f.body = i + len("_pat_")
	case 'k': // sk_live_ and its kin
		if b[i-2] != 's' && b[i-2] != 'r' {
			return candidate{}, none
		}
		f.entity, f.start, f.least = StripeKey, i-2, 16
		for _, mode := range [...]string{"_live_", "_test_", "_prod_"} {
			switch hasPrefix(b, i, mode, final) {
			case found:
				f.body = i + len(mode)
			case more:
				if !tokenBounded(b, f.start) {
					return candidate{}, none
				}
				return candidate{start: f.start}, more
			}
		}
		if f.body == 0 {
			return candidate{}, none
		}
	case 'c': // whsec_
		const name = "whsec"
		if i < len(name) || string(b[i-len(name):i]) != name {
			return candidate{}, none
		}
		f.entity, f.start, f.body, f.also, f.least = StripeKey, i-len(name), i+1, "+/=", 20
	default:
		return candidate{}, none
	}
	if !tokenBounded(b, f.start) {
		return candidate{}, none
	}
	return f.read(b, final)
}

// detectHyphen looks at the '-' at b[i] for the prefixes that end with one, and for
// the first of the five that begin the armour of a key.
func detectHyphen(b []byte, i int, final bool) (candidate, verdict) {
	if i+1 < len(b) && b[i+1] == '-' || i+1 == len(b) {
		if c, v := detectPEM(b, i, final); v != none {
			return c, v
		}
	}
	if i < 2 {
		return candidate{}, none
	}
	switch b[i-1] {
	case 'k':
		if b[i-2] == 's' && tokenBounded(b, i-2) {
			return detectSK(b, i, final)
		}
	case 'p': // xapp-, or xoxp-
		if i >= 4 && string(b[i-4:i]) == "xapp" {
			return slack(b, i-4, i, final)
		}
		fallthrough
	default: // xoxb- and its kin
		if i >= 4 && b[i-2] == 'x' && b[i-3] == 'o' && b[i-4] == 'x' && allowed("abeoprsdc", b[i-1]) {
			start := i - 4
			if start >= 5 && string(b[start-5:start]) == "xoxe." {
				start -= 5
			}
			return slack(b, start, i, final)
		}
	}
	return candidate{}, none
}

func slack(b []byte, start, i int, final bool) (candidate, verdict) {
	if !tokenBounded(b, start) {
		return candidate{}, none
	}
	f := tokenForm{entity: SlackToken, start: start, body: i + 1, also: "-", least: 20, digit: true, score: 0.97}
	return f.read(b, final)
}

// detectSK looks at "sk-" with its '-' at b[i].
func detectSK(b []byte, i int, final bool) (candidate, verdict) {
	start := i - 2
	for _, form := range [...]struct {
		prefix string
		entity Entity
		least  int
	}{
		{"-ant-", AnthropicKey, 24},
		{"-proj-", OpenAIKey, 32},
		{"-svcacct-", OpenAIKey, 32},
		{"-admin-", OpenAIKey, 32},
		{"-None-", OpenAIKey, 32},
		{"-or-v1-", OpenAIKey, 40},
	} {
		switch hasPrefix(b, i, form.prefix, final) {
		case more:
			return candidate{start: start}, more
		case found:
			f := tokenForm{entity: form.entity, start: start, body: i + len(form.prefix), also: "_-", least: form.least, digit: true, score: 0.97}
			return f.read(b, final)
		}
	}
	// The older form has letters and digits alone, 48 of them; others copied it with 32 and more.
	f := tokenForm{entity: OpenAIKey, start: start, body: i + 1, least: 32, digit: true, score: 0.96}
	c, v := f.read(b, final)
	if v == found && c.end < len(b) && b[c.end] == '-' {
		if c.end+1 == len(b) && !final {
			return candidate{start: start}, more
		}
		if c.end+1 < len(b) && word(b[c.end+1]) {
			return candidate{}, none // kebab-case
		}
	}
	return c, v
}

// detectAWS looks at the 'A' at b[i], the first letter of an access key's id.
func detectAWS(b []byte, i int, final bool) (candidate, verdict) {
	const size = 20
	if i > 0 && word(b[i-1]) && !escaped(b, i) {
		return candidate{}, none
	}
	for k := 1; k < size; k++ {
		if i+k == len(b) {
			if final {
				return candidate{}, none
			}
			return candidate{start: i}, more
		}
		c := b[i+k]
		ok := kind[c]&(isUpper|isDigit) != 0
		switch k {
		case 1:
			ok = c == 'K' || c == 'S' || c == 'B' || c == 'C' || c == '3'
		case 2:
			ok = c == 'I' || c == 'C' && b[i+1] == 'C' || c == 'T' && b[i+1] == '3'
		case 3:
			ok = c == 'A' || ok && b[i+1] == '3'
		}
		if !ok {
			return candidate{}, none
		}
	}
	if i+size == len(b) {
		if !final {
			return candidate{start: i}, more
		}
	} else if word(b[i+size]) {
		return candidate{}, none
	}
	return candidate{AWSAccessKey, i, i + size, 0.97}, found
}
