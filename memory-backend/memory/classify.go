package memory

import "strings"

// cue is a phrase that suggests a type of memory.
type cue struct {
	phrase string
	kind   string
}

// cues in order of precedence: the first phrase that occurs decides. Each starts at a word.
var cues = []cue{
	{"i prefer", "preference"}, {"prefers", "preference"}, {"favorite", "preference"}, {"favourite", "preference"},
	{"likes", "preference"}, {"i like", "preference"}, {"loves", "preference"}, {"i love", "preference"},
	{"hates", "preference"}, {"i hate", "preference"}, {"dislikes", "preference"}, {"would rather", "preference"},
	{"always", "instruction"}, {"never", "instruction"}, {"must", "instruction"}, {"do not", "instruction"},
	{"make sure", "instruction"},
	{"decided to", "decision"}, {"we decided", "decision"}, {"agreed to", "decision"}, {"chose to", "decision"},
	{"promised", "commitment"}, {"i will", "commitment"}, {"committed to", "commitment"}, {"deadline", "commitment"},
	{"wants to", "goal"}, {"want to", "goal"}, {"plans to", "goal"}, {"plan to", "goal"}, {"goal is", "goal"},
	{"hopes to", "goal"},
	{"learned", "learning"}, {"learnt", "learning"}, {"lesson", "learning"}, {"turns out", "learning"},
	{"exception", "error"}, {"failed with", "error"}, {"crashed", "error"}, {"stack trace", "error"}, {"error:", "error"},
	{"yesterday", "event"}, {"last week", "event"}, {"met with", "event"}, {"attended", "event"}, {"happened", "event"},
	{"reports to", "relationship"}, {"married to", "relationship"}, {"works with", "relationship"},
	{"colleague of", "relationship"}, {"manager of", "relationship"},
	{"noticed", "observation"}, {"observed", "observation"}, {"seems to", "observation"},
}

// Classify returns a type for a memory whose writer named none, by a few plain phrases; "fact" when
// none occurs.
func Classify(content string) string {
	text := " " + strings.ToLower(strings.Join(strings.Fields(content), " "))
	for _, c := range cues {
		for from := 0; ; {
			i := strings.Index(text[from:], c.phrase)
			if i < 0 {
				break
			}
			at := from + i
			end := at + len(c.phrase)
			if !wordByte(text[at-1]) && (end == len(text) || !wordByte(text[end]) || c.phrase[len(c.phrase)-1] == ':') {
				return c.kind
			}
			from = end
		}
	}
	return "fact"
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_' || b >= 0x80
}
