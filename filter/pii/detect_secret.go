package pii

const (
	// maxLeft is how far left of a value its name is looked for.
	maxLeft = Context
	// maxName is the longest name that is read.
	maxName = 40
	// maxSecret is the longest value that is taken for a secret by its name.
	maxSecret = 512
)

// naming is what the name before a value says.
type naming uint8

const (
	unnamed naming = iota
	namedPassword
	namedToken
	namedAzure
)

// secret looks at the value around the run b[run:end], whose first digit is b[i]: one
// of high entropy is a secret when the name before it says so.
func (s *Scanner) secret(b []byte, run, i, end int, final bool) (candidate, verdict) {
	start := run
	for start > 0 && i-start < maxLocal && kind[b[start-1]]&(isValue|isDigit) == isValue {
		start--
	}
	s.work += run - start
	if start == 0 || start > 0 && kind[b[start-1]]&isValue != 0 {
		return candidate{}, none // not its first digit, or too long
	}
	name := s.naming(b, start)
	if name == unnamed {
		return candidate{}, none
	}
	quoted := b[start-1] == '"' || b[start-1] == '\'' || b[start-1] == '`'
	stop := s.values.end(s, b, start, end, quoted)
	if stop-start > maxSecret {
		return candidate{}, none
	}
	if stop == len(b) && !final {
		return candidate{start: start}, more
	}
	if stop < len(b) && (b[stop] == '(' || b[stop] == '[' || b[stop] == '{') {
		return candidate{}, none // source code
	}
	for stop > end && (b[stop-1] == '.' || b[stop-1] == ',' || b[stop-1] == ':' || b[stop-1] == '!' && !quoted) {
		stop--
	}
	v := b[start:stop]
	switch {
	case name == namedAzure && len(v) >= 40:
		return candidate{AzureKey, start, stop, 0.97}, found
	case (name == namedPassword && len(v) >= 8 || len(v) >= 16) && s.values.mixed(s, b, start, stop):
		return candidate{GenericSecret, start, stop, 0.86}, found
	}
	return candidate{}, none
}

// valueByte says whether a value goes on with c.
func valueByte(c byte, quoted bool) bool {
	if kind[c]&isValue != 0 || c == '=' || c == ':' || c >= 0x80 {
		return true
	}
	return quoted && (c == '&' || c == '?' || c == '|' || c == '(' || c == ')' || c == '{' || c == '}' || c == '[' || c == ']' || c == '<' || c == '>' || c == ';' || c == ',')
}

// values is what was read of a value, within which others can begin: each byte of it is
// read once for all of them. The zero value is ready for a text.
type values struct {
	from, stop int // b[from:stop] goes on a value
	quoted     bool

	begin, until         int // b[begin:until] was counted
	changes              int // between the kinds of its bytes
	letter, digit, colon int // behind the last of each in it
}

// end returns where a value ends that goes on with b[i] and begins at b[start], or more than
// maxSecret bytes behind that.
func (x *values) end(s *Scanner, b []byte, start, i int, quoted bool) int {
	if i < x.from || i > x.stop || quoted != x.quoted {
		x.from, x.stop, x.quoted = i, i, quoted
	}
	i = x.stop
	for x.stop < len(b) && x.stop-start <= maxSecret && valueByte(b[x.stop], quoted) {
		x.stop++
	}
	s.work += x.stop - i
	return x.stop
}

// mixed says whether the bytes of b[start:end] change between lower case, upper case, digits
// and others as often as those of a random value do, and names of source code do not.
func (x *values) mixed(s *Scanner, b []byte, start, end int) bool {
	switch b[start] {
	case '/', '.', '$', '%':
		return false // a path, or a reference to a variable
	}
	if start < x.begin || start >= x.until || end != x.until {
		*x = values{from: x.from, stop: x.stop, quoted: x.quoted, begin: start, until: end}
		for k := start; k < end; k++ {
			switch kind[b[k]] & (isLower | isUpper | isDigit) {
			case isDigit:
				x.digit = k + 1
			case isLower, isUpper:
				x.letter = k + 1
			}
			if b[k] == ':' {
				x.colon = k + 1
			}
		}
		x.changes = changes(b[start:end])
		s.work += 2 * (end - start)
	}
	x.changes -= changes(b[x.begin : start+1])
	s.work += start - x.begin
	x.begin = start
	return x.colon <= start && x.letter > start && x.digit > start && x.changes*3 >= end-start-1
}

// changes counts how often the bytes of v change between lower case, upper case, digits and
// others.
func changes(v []byte) (n int) {
	last := kind[v[0]] & (isLower | isUpper | isDigit)
	for _, c := range v[1:] {
		if k := kind[c] & (isLower | isUpper | isDigit); k != last {
			n++
			last = k
		}
	}
	return n
}

// naming reads the name before the value at b[start]: in JSON, YAML, an assignment of
// source code, a header, or the environment.
func (s *Scanner) naming(b []byte, start int) naming {
	least := max(0, start-maxLeft)
	k := start
	back := func(c byte) bool {
		if k > least && b[k-1] == c {
			k--
			return true
		}
		return false
	}
	quote := func() {
		if back('"') || back('\'') || back('`') {
			back('\\')
		}
	}
	quote()
	blank := false
	for n := 0; n < 3 && (back(' ') || back('\t')); n++ {
		blank = true
	}
	if k > least && kind[b[k-1]]&isLetter != 0 {
		// The scheme of credentials, as in Authorization: Bearer, or a verb, as in
		// the password is.
		scheme := k
		for k > least && kind[b[k-1]]&isLetter != 0 && scheme-k < 7 {
			k--
		}
		switch w := b[k:scheme]; {
		case !blank:
			return unnamed
		case equalFold(w, "bearer"), equalFold(w, "basic"), equalFold(w, "token"), equalFold(w, "apikey"):
			blank = false
		case equalFold(w, "is"), equalFold(w, "ist"), equalFold(w, "est"), equalFold(w, "es"), equalFold(w, "was"):
		default:
			k = scheme // the name itself
		}
		back(' ')
	}
	separated := blank
	for n := 0; n < 2 && (back('=') || back(':') || back('>')); n++ {
		separated = true
	}
	if !separated {
		return unnamed
	}
	if back(':') && k > least && kind[b[k-1]]&isAlnum != 0 { // := of source code
		separated = true
	}
	for n := 0; n < 2 && back(' '); n++ {
	}
	back('\\')
	quote()
	return nameBefore(b, k, least)
}

// nameBefore says what the name that ends at b[k] is of.
func nameBefore(b []byte, k, least int) naming {
	var room [maxName]byte
	n := maxName // room[n:] is the name, in lower case and without separators
	for k > least && n > 0 {
		c := b[k-1]
		if kind[c]&isAlnum != 0 {
			n--
			room[n] = lower(c)
		} else if c != '_' && c != '-' && c != '.' {
			break
		}
		k--
	}
	name := room[n:]
	if len(name) < 3 {
		return unnamed
	}
	ends := func(word string) bool {
		return len(name) >= len(word) && string(name[len(name)-len(word):]) == word
	}
	switch name[len(name)-1] {
	case 'd':
		if ends("password") || ends("passwd") || ends("pwd") {
			return namedPassword
		}
	case 'e':
		if ends("passphrase") || ends("passcode") {
			return namedPassword
		}
		if ends("signature") {
			return namedToken
		}
	case 's':
		if string(name) == "pass" || ends("dbpass") || ends("userpass") {
			return namedPassword
		}
		if ends("credentials") {
			return namedToken
		}
	case 't':
		if ends("secret") {
			return namedToken
		}
	case 'h':
		if ends("auth") {
			return namedToken
		}
	case 'n':
		if ends("authorization") {
			return namedToken
		}
		if ends("token") && !ends("pagetoken") && !ends("nexttoken") && !ends("continuationtoken") && !ends("synctoken") && !ends("cancellationtoken") {
			return namedToken
		}
	case 'y':
		if ends("accountkey") || ends("sharedaccesskey") {
			return namedAzure
		}
		for _, w := range [...]string{"apikey", "secretkey", "accesskey", "privatekey", "encryptionkey", "signingkey", "masterkey", "authkey", "servicekey", "clientkey", "sessionkey", "hmackey"} {
			if ends(w) {
				return namedToken
			}
		}
	case 'g':
		if string(name) == "sig" {
			return namedToken
		}
	}
	return unnamed
}

func equalFold(w []byte, s string) bool {
	if len(w) != len(s) {
		return false
	}
	for k, c := range w {
		if lower(c) != s[k] {
			return false
		}
	}
	return true
}

// assigned looks at the '=' at b[i] for a password that stands bare behind its name: in
// the query of an address, or in a connection string whose members semicolons separate.
func (s *Scanner) assigned(b []byte, i int, final bool) (candidate, verdict) {
	least := max(0, i-maxName-1)
	if nameBefore(b, i, least) == unnamed {
		return candidate{}, none
	}
	k := i
	for k > least && (kind[b[k-1]]&isAlnum != 0 || b[k-1] == '_' || b[k-1] == '-' || b[k-1] == '.') {
		k--
	}
	s.work += i - k
	before := byte(0)
	if k > 0 {
		before = b[k-1]
	}
	switch before {
	case '?', '&', ';', ' ', '"':
	default:
		return candidate{}, none
	}
	if i+1 < len(b) && (b[i+1] == '$' || b[i+1] == '%' || b[i+1] == '*' || b[i+1] == '=') {
		return candidate{}, none
	}
	// One that is too long is taken as far as it was read, so that it is read once.
	j := i + 1
	for j < len(b) && j-i <= maxSecret && (valueByte(b[j], false) || b[j] == '?') {
		j++
	}
	s.work += j - i
	if len(b)-j < 2 && !final {
		return candidate{start: i + 1}, more
	}
	for j > i+1 && (b[j-1] == '.' || b[j-1] == ',') {
		j--
	}
	if j-i <= 4 {
		return candidate{}, none
	}
	switch {
	case before == '?' || before == '&':
		return candidate{URL, i + 1, j, 0.9}, found
	case before == ';' || j < len(b) && b[j] == ';' && (before == ' ' || before == '"'):
		if before != ';' && !connects(b, j) {
			break
		}
		return candidate{ConnectionString, i + 1, j, 0.9}, found
	}
	return candidate{}, none
}

// connects says whether another member follows the semicolon at b[j], and not the end
// of a statement.
func connects(b []byte, j int) bool {
	return j+1 < len(b) && kind[b[j+1]]&isLetter != 0
}
