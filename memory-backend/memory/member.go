package memory

import "strconv"

// Member returns a text that is the same for equal members of metadata only, by which engines find them; false for
// what is neither text nor a number nor a truth value.
func Member(key string, value any) (string, bool) {
	head := strconv.Itoa(len(key)) + ":" + key
	switch v := value.(type) {
	case string:
		return head + "s" + v, true
	case float64:
		return head + "n" + strconv.FormatFloat(v+0, 'g', -1, 64), true // 0 and -0 are equal
	case bool:
		return head + "b" + strconv.FormatBool(v), true
	}
	return "", false
}
