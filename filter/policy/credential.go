package policy

import (
	"math"
	"strings"
)

// tokenKind is the shape of a credential that some issuer is known to give out.
type tokenKind struct {
	name   string // what it is, for the message
	prefix string
	length int // least bytes after the prefix
	class  func(byte) bool
}

// knownTokens are looked for in this order.
var knownTokens = [...]tokenKind{
	{"an AWS access key", "AKIA", 16, isUpperAlnum},
	{"an AWS access key", "ASIA", 16, isUpperAlnum},
	{"a GitHub token", "ghp_", 30, isAlnum},
	{"a GitHub token", "gho_", 30, isAlnum},
	{"a GitHub token", "ghu_", 30, isAlnum},
	{"a GitHub token", "ghs_", 30, isAlnum},
	{"a GitHub token", "ghr_", 30, isAlnum},
	{"a GitHub token", "github_pat_", 22, isWord},
	{"a GitLab token", "glpat-", 16, isWord},
	{"a Slack token", "xoxa-", 10, isWord},
	{"a Slack token", "xoxb-", 10, isWord},
	{"a Slack token", "xoxp-", 10, isWord},
	{"a Slack token", "xoxr-", 10, isWord},
	{"a Slack token", "xoxs-", 10, isWord},
	{"a Slack token", "xapp-", 10, isWord},
	{"a Stripe key", "sk_live_", 16, isAlnum},
	{"a Stripe key", "sk_test_", 16, isAlnum},
	{"a Stripe key", "rk_live_", 16, isAlnum},
	{"a Stripe key", "rk_test_", 16, isAlnum},
	{"a Stripe key", "whsec_", 16, isAlnum},
	{"an Anthropic key", "sk-ant-", 16, isWord},
	{"an OpenAI key", "sk-", 32, isWord},
	{"a Google API key", "AIza", 30, isWord},
	{"a Google token", "ya29.", 20, isWord},
	{"an npm token", "npm_", 30, isAlnum},
	{"a PyPI token", "pypi-", 40, isWord},
	{"a Hugging Face token", "hf_", 30, isAlnum},
	{"a SendGrid key", "SG.", 30, func(c byte) bool { return c == '.' || isWord(c) }},
	{"a memgate API key", "mg_", 32, isWord},
	{"a memgate session token", "ms_", 32, isWord},
	{"a JSON Web Token", "eyJ", 24, func(c byte) bool { return c == '.' || isWord(c) }},
}

// findSecret looks in one line of text for the shape of a credential and
// returns what it is and where it starts, or "".
func findSecret(line string) (what string, at int) {
	if at = strings.Index(line, "-----BEGIN "); at >= 0 && strings.Contains(line[at:], "PRIVATE KEY") {
		return "a private key", at
	}
	for _, kind := range knownTokens {
		for from := 0; ; {
			i := strings.Index(line[from:], kind.prefix)
			if i < 0 {
				break
			}
			i += from
			end := i + len(kind.prefix)
			for end < len(line) && kind.class(line[end]) {
				end++
			}
			if (i == 0 || !isWord(line[i-1])) && end-i-len(kind.prefix) >= kind.length {
				return kind.name, i
			}
			from = i + len(kind.prefix)
		}
	}
	if at := passwordInURL(line); at >= 0 {
		return "a password in a URL", at
	}
	return "", 0
}

// passwordInURL returns where scheme://user:password@ starts in line, or -1.
func passwordInURL(line string) int {
	for from := 0; ; {
		i := strings.Index(line[from:], "://")
		if i < 0 {
			return -1
		}
		i += from + len("://")
		authority := line[i:]
		if end := strings.IndexAny(authority, "/?# \t\"'"); end >= 0 {
			authority = authority[:end]
		}
		if user, _, ok := cutLast(authority, '@'); ok {
			if _, password, ok := strings.Cut(user, ":"); ok && password != "" {
				return i
			}
		}
		from = i
	}
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// looksSecret reports whether text has the shape of a credential, known or by
// its randomness.
func looksSecret(text string) bool {
	what, _ := findSecret(text)
	return what != "" || looksRandom(text)
}

// looksRandom reports whether a word of text is long and as random as a key: at
// least 24 characters of the alphabets of hex, Base64 and Base64url, with
// digits and letters, that neither read as words nor form a UUID.
func looksRandom(text string) bool {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r > 0x7e || !isKeyByte(byte(r)) }) {
		if len(word) >= 24 && !isUUID(word) && random(word) {
			return true
		}
	}
	return false
}

// random is the test of [looksRandom] for one word.
func random(word string) bool {
	var count [128]int
	var digits, letters, separators, run, longest int
	hex := true
	for i := range len(word) {
		c := word[i]
		count[c]++
		lower := c | 0x20
		switch {
		case '0' <= c && c <= '9':
			digits++
			run = 0
		case 'a' <= lower && lower <= 'z':
			letters++
			if i > 0 && (c^word[i-1])&0x20 != 0 { // words are in one case
				run = 0
			}
			run++
			hex = hex && lower <= 'f'
		default:
			separators++
			run = 0
			hex = false
		}
		longest = max(longest, run)
	}
	if digits == 0 || letters == 0 {
		return false
	}
	entropy := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(word))
			entropy -= p * math.Log2(p)
		}
	}
	if hex {
		return len(word) >= 32 && entropy >= 3
	}
	// Words and names have long runs of letters, few digits or many hyphens.
	return entropy >= 4 && digits*20 >= len(word) && separators*8 <= len(word) && (longest < 9 || digits*6 >= len(word))
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') {
			return false
		}
	}
	return true
}

func isUpperAlnum(c byte) bool { return 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' }
func isAlnum(c byte) bool      { return isUpperAlnum(c) || 'a' <= c && c <= 'z' }
func isWord(c byte) bool       { return isAlnum(c) || c == '_' || c == '-' }
func isKeyByte(c byte) bool    { return isWord(c) || c == '+' || c == '=' }
