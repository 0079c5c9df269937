package pii

// maxToken is the longest key or token with a prefix, in bytes.
const maxToken = 255

// charset is what the body of a token consists of.
type charset uint8

const (
	alnum charset = iota
	hexadecimal
	upperDigit
)

var charsetKind = [...]uint8{alnum: isAlnum, hexadecimal: isHex, upperDigit: isUpper | isDigit}

// tokenRule is the grammar of a key that a provider issues with a prefix.
type tokenRule struct {
	prefix string
	entity Entity
	least  uint8 // bytes of the body
	most   uint8 // 0 for any number up to maxToken
	set    charset
	also   string // bytes allowed besides those of set
	digit  bool   // the body needs a digit
	kebab  bool   // it is none when words go on behind a hyphen
	nested uint8  // which of those is it in whose body another can begin, or 0
}

// nestedRules is how many rules there are in whose body another token can begin.
const nestedRules = 11

// bodyRun is what was read of a token's body, so that each byte of it is read once for all
// tokens that begin within.
type bodyRun struct {
	from, stop int // b[from:stop] can be in a body
	digit      int // behind the last digit
}

// tokenRules are the forms whose prefix has an underscore, a hyphen or a dot, by the
// first of which they are found. Of rules that begin alike the more special comes first.
var tokenRules = [...]tokenRule{
	{prefix: "ghp_", entity: GitHubToken, least: 36, also: "_"},
	{prefix: "gho_", entity: GitHubToken, least: 36, also: "_"},
	{prefix: "ghu_", entity: GitHubToken, least: 36, also: "_"},
	{prefix: "ghs_", entity: GitHubToken, least: 36, also: "_"},
	{prefix: "ghr_", entity: GitHubToken, least: 36, also: "_"},
	{prefix: "github_pat_", entity: GitHubToken, least: 50, also: "_"},
	{prefix: "sk_live_", entity: StripeKey, least: 16},
	{prefix: "sk_test_", entity: StripeKey, least: 16},
	{prefix: "sk_prod_", entity: StripeKey, least: 16},
	{prefix: "rk_live_", entity: StripeKey, least: 16},
	{prefix: "rk_test_", entity: StripeKey, least: 16},
	{prefix: "rk_prod_", entity: StripeKey, least: 16},
	{prefix: "whsec_", entity: StripeKey, least: 20, most: 64, also: "+/=", nested: 1},
	{prefix: "npm_", entity: NPMToken, least: 36, most: 36},
	{prefix: "hf_", entity: HuggingFaceToken, least: 30, most: 40},
	{prefix: "dop_v1_", entity: DigitalOceanToken, least: 64, most: 64, set: hexadecimal},
	{prefix: "doo_v1_", entity: DigitalOceanToken, least: 64, most: 64, set: hexadecimal},
	{prefix: "dor_v1_", entity: DigitalOceanToken, least: 64, most: 64, set: hexadecimal},
	{prefix: "glsa_", entity: GrafanaToken, least: 41, most: 41, also: "_", digit: true},
	{prefix: "glc_", entity: GrafanaToken, least: 32, also: "+/=", digit: true, nested: 2},
	{prefix: "shpat_", entity: ShopifyToken, least: 32, most: 32, set: hexadecimal},
	{prefix: "shpca_", entity: ShopifyToken, least: 32, most: 32, set: hexadecimal},
	{prefix: "shppa_", entity: ShopifyToken, least: 32, most: 32, set: hexadecimal},
	{prefix: "shpss_", entity: ShopifyToken, least: 32, most: 32, set: hexadecimal},
	{prefix: "dckr_pat_", entity: DockerToken, least: 27, also: "_-"},
	{prefix: "dckr_oat_", entity: DockerToken, least: 27, also: "_-"},
	{prefix: "gsk_", entity: GroqKey, least: 40, most: 60},
	{prefix: "r8_", entity: ReplicateToken, least: 37, most: 40},
	{prefix: "rubygems_", entity: RubyGemsKey, least: 48, most: 48, set: hexadecimal},
	{prefix: "lin_api_", entity: LinearKey, least: 32, most: 48},
	{prefix: "lin_oauth_", entity: LinearKey, least: 32, most: 64},
	{prefix: "ntn_", entity: NotionToken, least: 40, most: 50, digit: true},
	{prefix: "sntrys_", entity: SentryToken, least: 40, also: "_+/=", digit: true, nested: 3},
	{prefix: "sntryu_", entity: SentryToken, least: 64, most: 64, set: hexadecimal},
	{prefix: "sbp_", entity: SupabaseToken, least: 40, most: 40, set: hexadecimal},
	{prefix: "pscale_tkn_", entity: PlanetScaleToken, least: 32, also: "_-.=", nested: 4},
	{prefix: "pscale_pw_", entity: PlanetScaleToken, least: 32, also: "_-.=", nested: 5},
	{prefix: "pscale_oauth_", entity: PlanetScaleToken, least: 32, also: "_-.=", nested: 6},
	{prefix: "figd_", entity: FigmaToken, least: 36, also: "_-", digit: true},

	{prefix: "sk-ant-", entity: AnthropicKey, least: 24, also: "_-", digit: true},
	{prefix: "sk-proj-", entity: OpenAIKey, least: 32, also: "_-", digit: true},
	{prefix: "sk-svcacct-", entity: OpenAIKey, least: 32, also: "_-", digit: true},
	{prefix: "sk-admin-", entity: OpenAIKey, least: 32, also: "_-", digit: true},
	{prefix: "sk-None-", entity: OpenAIKey, least: 32, also: "_-", digit: true},
	{prefix: "sk-or-v1-", entity: OpenAIKey, least: 40, also: "_-", digit: true},
	// The older form has letters and digits alone, 48 of them; others copied it with 32 and more.
	{prefix: "sk-", entity: OpenAIKey, least: 32, digit: true, kebab: true},
	{prefix: "xoxe.xoxp-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxe.xoxb-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxa-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxb-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxc-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxd-", entity: SlackToken, least: 20, also: "-%", digit: true, nested: 7},
	{prefix: "xoxe-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxo-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxp-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxr-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xoxs-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "xapp-", entity: SlackToken, least: 20, also: "-", digit: true},
	{prefix: "glpat-", entity: GitLabToken, least: 20, also: "_-", digit: true},
	{prefix: "gldt-", entity: GitLabToken, least: 20, also: "_-", digit: true},
	{prefix: "glrt-", entity: GitLabToken, least: 20, also: "_-", digit: true},
	{prefix: "glptt-", entity: GitLabToken, least: 40, most: 40, set: hexadecimal},
	{prefix: "GOCSPX-", entity: GoogleKey, least: 28, most: 28, also: "_-"},
	{prefix: "pypi-AgE", entity: PyPIToken, least: 60, also: "_-"},
	{prefix: "nvapi-", entity: NVIDIAKey, least: 60, most: 70, also: "_-", digit: true},
	{prefix: "pplx-", entity: PerplexityKey, least: 40, most: 64, digit: true},
	{prefix: "xai-", entity: XAIKey, least: 70, most: 90, digit: true},
	{prefix: "tskey-", entity: TailscaleKey, least: 20, also: "-", digit: true},
	{prefix: "key-", entity: MailgunKey, least: 32, most: 32, set: hexadecimal, digit: true},
	{prefix: "sq0atp-", entity: SquareToken, least: 22, most: 22, also: "_-"},
	{prefix: "sq0csp-", entity: SquareToken, least: 43, most: 43, also: "_-"},
	{prefix: "PMAK-", entity: PostmanKey, least: 59, most: 59, set: hexadecimal, also: "-"},
	{prefix: "NRAK-", entity: NewRelicKey, least: 27, most: 27, set: upperDigit},
	{prefix: "pul-", entity: PulumiToken, least: 40, most: 40, set: hexadecimal},
	{prefix: "AGE-SECRET-KEY-1", entity: AgeKey, least: 58, most: 58, set: upperDigit},

	{prefix: "SG.", entity: SendGridKey, least: 66, most: 66, also: "_-.", nested: 8},
	{prefix: "hvs.", entity: VaultToken, least: 24, also: "_-", digit: true},
	{prefix: "hvb.", entity: VaultToken, least: 100, also: "_-", digit: true},
	{prefix: "dp.pt.", entity: DopplerToken, least: 40, most: 44},
	{prefix: "dp.st.", entity: DopplerToken, least: 40, most: 64, also: "_-.", nested: 9},
	{prefix: "ya29.", entity: GoogleKey, least: 40, also: "_-"},
}

// runRules are the forms whose prefix is of letters and digits alone. They are found
// by the run of letters and digits that begins with it and has a digit.
var runRules = [...]tokenRule{
	{prefix: "LTAI", entity: AlibabaKey, least: 16, most: 26},
	{prefix: "dapi", entity: DatabricksToken, least: 32, most: 34, set: hexadecimal, also: "-"},
	{prefix: "SK", entity: TwilioKey, least: 32, most: 32, set: hexadecimal},
	{prefix: "AC", entity: TwilioKey, least: 32, most: 32, set: hexadecimal},
	{prefix: "ATATT3xFfGF0", entity: AtlassianToken, least: 150, also: "_-=", nested: 10},
	{prefix: "ATCTT3xFfG", entity: AtlassianToken, least: 150, also: "_-=", nested: 11},
	{prefix: "EAAAE", entity: SquareToken, least: 59, most: 59, also: "_-"},
}

// The rules are found by the separator and the two bytes before it.
const (
	tailUnderscore uint8 = 1 << iota
	tailHyphen
	tailDot
)

const tokenSlots = 256

var (
	tokenTailP, tokenTailQ = tokenTails() // what can stand one and two before a separator
	tokenFirst, tokenNext  = indexTokens()
	tokenAt, tokenAfter    = tokenParts() // where a rule's separator is, and what stands behind it, or 0
)

// separatorOf returns where the first separator of a prefix is, and its bit.
func separatorOf(prefix string) (int, uint8) {
	for k := range len(prefix) {
		switch prefix[k] {
		case '_':
			return k, tailUnderscore
		case '-':
			return k, tailHyphen
		case '.':
			if prefix != "xoxe.xoxp-" && prefix != "xoxe.xoxb-" {
				return k, tailDot
			}
		}
	}
	return 0, 0
}

func tokenTails() (p, q [256]uint8) {
	for n := range tokenRules {
		k, bit := separatorOf(tokenRules[n].prefix)
		p[tokenRules[n].prefix[k-1]] |= bit
		q[tokenRules[n].prefix[k-2]] |= bit
	}
	return p, q
}

func tokenParts() (at, after [len(tokenRules)]uint8) {
	for n := range tokenRules {
		k, _ := separatorOf(tokenRules[n].prefix)
		at[n] = uint8(k)
		if k+1 < len(tokenRules[n].prefix) {
			after[n] = tokenRules[n].prefix[k+1]
		}
	}
	return at, after
}

func tokenSlot(q, p, c byte) uint8 { return q*31 ^ p*7 ^ c }

// indexTokens chains the rules of each slot in their order, by their numbers plus one.
func indexTokens() (first [tokenSlots]uint8, next [len(tokenRules)]uint8) {
	for n := len(tokenRules) - 1; n >= 0; n-- {
		x := tokenRules[n].prefix
		k, _ := separatorOf(x)
		slot := tokenSlot(x[k-2], x[k-1], x[k])
		next[n] = first[slot]
		first[slot] = uint8(n + 1)
	}
	return first, next
}

// token looks at the separator at b[i] for the prefixes that have one.
func (s *Scanner) token(b []byte, i int, final bool) (candidate, verdict) {
	if i < 2 {
		return candidate{}, none
	}
	unbounded := -1 // where none of them can begin
	for n := tokenFirst[tokenSlot(b[i-2], b[i-1], b[i])]; n != 0; n = tokenNext[n-1] {
		start := i - int(tokenAt[n-1])
		if start < 0 || start == unbounded || tokenAfter[n-1] != 0 && i+1 < len(b) && b[i+1] != tokenAfter[n-1] {
			continue
		}
		if !tokenBounded(b, start) {
			unbounded = start
			continue
		}
		rule := &tokenRules[n-1]
		switch hasPrefix(b, start, rule.prefix, final) {
		case more:
			return candidate{start: start}, more
		case found:
			return s.readToken(rule, b, start, final)
		}
	}
	return candidate{}, none
}

// readToken reads a token behind the prefix at b[start]: the longest run of its bytes.
func (s *Scanner) readToken(f *tokenRule, b []byte, start int, final bool) (candidate, verdict) {
	body := start + len(f.prefix)
	set := charsetKind[f.set]
	most := int(f.most)
	if most == 0 {
		most = maxToken - len(f.prefix)
	}
	run := &bodyRun{}
	if f.nested > 0 {
		run = &s.bodies[f.nested-1]
	}
	if body < run.from || body > run.stop {
		*run = bodyRun{from: body, stop: body}
	}
	j := run.stop
	for ; j < len(b) && j-body <= most; j++ {
		c := b[j]
		if kind[c]&set == 0 && !allowed(f.also, c) {
			break
		}
		if kind[c]&isDigit != 0 {
			run.digit = j + 1
		}
	}
	s.work += j - run.stop
	run.stop = j
	if j-body > most {
		if j--; b[j] != '.' && b[j] != '-' {
			return candidate{}, none
		}
	}
	if j == len(b) && !final {
		return candidate{start: start}, more
	}
	for j > body && (b[j-1] == '-' || b[j-1] == '.') { // a dash or the end of a sentence after it
		j--
	}
	if j-body < int(f.least) || f.digit && run.digit <= body || j < len(b) && word(b[j]) {
		return candidate{}, none
	}
	if f.kebab && j < len(b) && b[j] == '-' {
		if j+1 == len(b) && !final {
			return candidate{start: start}, more
		}
		if j+1 < len(b) && word(b[j+1]) {
			return candidate{}, none
		}
	}
	return candidate{f.entity, start, j, 0.97}, found
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

// hyphen looks at the '-' at b[i] for the prefixes that have one, for a hardware
// address, and for the first of the five that begin the armour of a key.
func (s *Scanner) hyphen(b []byte, i int, final bool) (candidate, verdict) {
	if i+1 == len(b) || b[i+1] == '-' {
		if c, v := detectPEM(b, i, final); v != none {
			return c, v
		}
	}
	if c, v := s.mac(b, i, final); v != none {
		return c, v
	}
	return s.token(b, i, final)
}

// telegram looks at the digits b[i:j], behind which a colon stands: the number of a bot
// and its token.
func (s *Scanner) telegram(b []byte, i, j int, final bool) (candidate, verdict) {
	rule := tokenRule{prefix: ":AA", entity: TelegramToken, least: 33, most: 33, also: "_-"}
	switch hasPrefix(b, j, rule.prefix, final) {
	case more:
		return candidate{start: i}, more
	case none:
		return candidate{}, none
	}
	c, v := s.readToken(&rule, b, j, final)
	c.start = i
	return c, v
}

// google looks at the 'A' at b[i], the first letter of an API key.
func (s *Scanner) google(b []byte, i int, final bool) (candidate, verdict) {
	rule := tokenRule{prefix: "AIza", entity: GoogleKey, least: 35, most: 35, also: "_-"}
	if !tokenBounded(b, i) {
		return candidate{}, none
	}
	if v := hasPrefix(b, i, rule.prefix, final); v != found {
		return candidate{start: i}, v
	}
	return s.readToken(&rule, b, i, final)
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
