package poison

// Rule is a way to recognize text that was written to steer a model, or to hide what it
// says.
type Rule struct {
	// ID names the rule, in policies, headers, logs and metrics: lower-case letters and
	// hyphens.
	ID string
	// Reason says what it recognizes, for operators.
	Reason string
	// Weight is what it adds to a score.
	Weight int
	// Phrases are sequences of words by language (ISO 639-1), "" for all; none for a rule
	// that is about characters. A word is itself, [name] one of the words of a group,
	// a|b one of several, and +N lets up to N other words stand before the next. A
	// phrase that begins with ! does not count behind a negation.
	Phrases map[string][]string
}

// number is the index of a rule in [Rules].
type number uint8

// The rules, in the order of [Rules].
const (
	override number = iota
	role
	marker
	turn
	delayed
	exfiltration
	exfiltrationSecret
	reveal
	conceal
	privilege
	reinforce
	persist
	image
	invisible
	bidi
	smuggled
	confusable
	obfuscated
	encoded
	custom
	numRules
)

// Rules lists all rules.
func Rules() []Rule { return append([]Rule(nil), rules[:]...) }

// Known reports whether a rule has that id.
func Known(id string) bool { return numberOf(id) < numRules }

// numberOf returns the rule with that id, numRules for none.
func numberOf(id string) number {
	for i := range rules {
		if rules[i].ID == id {
			return number(i)
		}
	}
	return numRules
}

var rules = [numRules]Rule{
	override: {
		ID: "override", Weight: 5, Phrases: overridePhrases,
		Reason: "tells the reader to set aside the instructions that it has, or to follow new ones",
	},
	role: {
		ID: "role", Weight: 4, Phrases: rolePhrases,
		Reason: "gives the reader another role, or a mode without limits",
	},
	marker: {
		ID: "marker", Weight: 5,
		Reason: "marks of a chat template, by which text passes for a message of the system",
	},
	turn: {
		ID: "turn", Weight: 2,
		Reason: "lines that begin like turns of a conversation, of the assistant or the system",
	},
	delayed: {
		ID: "delayed", Weight: 2, Phrases: delayedPhrases,
		Reason: "an instruction that waits for something that a user will say or ask later",
	},
	exfiltration: {
		ID: "exfiltration", Weight: 3, Phrases: exfiltrationPhrases,
		Reason: "has conversations, memories or files sent to an address",
	},
	exfiltrationSecret: {
		ID: "exfiltration-secret", Weight: 5, Phrases: exfiltrationSecretPhrases,
		Reason: "has secrets sent to an address",
	},
	reveal: {
		ID: "reveal", Weight: 4, Phrases: revealPhrases,
		Reason: "asks for the system prompt, hidden instructions or credentials",
	},
	conceal: {
		ID: "conceal", Weight: 4, Phrases: concealPhrases,
		Reason: "has something kept from the user",
	},
	privilege: {
		ID: "privilege", Weight: 4, Phrases: privilegePhrases,
		Reason: "grants rights, or has checks and approvals skipped",
	},
	reinforce: {
		ID: "reinforce", Weight: 4, Phrases: reinforcePhrases,
		Reason: "has itself kept for good, or trusted above all else",
	},
	persist: {
		ID: "persist", Weight: 2, Phrases: persistPhrases,
		Reason: "has itself remembered always",
	},
	image: {
		ID: "image", Weight: 3, Phrases: imagePhrases,
		Reason: "an image or link whose address has room for data, or a data: address with a page or script in it",
	},
	invisible: {
		ID: "invisible", Weight: 3,
		Reason: "characters that do not show, inside words or in number",
	},
	bidi: {
		ID: "bidi", Weight: 3,
		Reason: "characters that reverse the order in which text is shown",
	},
	smuggled: {
		ID: "smuggled", Weight: 6,
		Reason: "text in characters that do not show: tags, or variation selectors",
	},
	confusable: {
		ID: "confusable", Weight: 3,
		Reason: "words of these rules, or several words, in which letters of other scripts stand for those of Latin",
	},
	obfuscated: {
		ID: "obfuscated", Weight: 3,
		Reason: "words of these rules that are spelled with digits, or letter by letter",
	},
	encoded: {
		ID: "encoded", Weight: 3,
		Reason: "text that another rule holds for once it is decoded from base64, hexadecimal or escapes",
	},
	custom: {
		ID: "custom", Weight: 0,
		Reason: "a phrase of the policy",
	},
}
