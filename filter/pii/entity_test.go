package pii

import (
	"testing"

	"github.com/memgate/memgate/filter/pii/sample"
)

// Every entity is found in values that were drawn by another implementation of its
// rule, behind a word that names it.
func TestEveryEntityIsFound(t *testing.T) {
	r := sample.NewRand(7)
	for e := range NumEntities {
		if e == Custom {
			continue
		}
		draw := sample.Values[e.String()]
		if draw == nil {
			t.Errorf("no values of %s", e)
			continue
		}
		missed, example := 0, ""
		const n = 200
		for range n {
			value := draw(r)
			for _, text := range []string{r.Label(e.String()) + ": " + value, r.Label(e.String()) + "=" + value + "\n", `{"` + r.Label(e.String()) + `": "` + value + `"}`} {
				ok := false
				for _, f := range Scan(nil, []byte(text)) {
					ok = ok || f.Entity == e && text[f.Start:f.End] == value
				}
				if !ok {
					missed++
					example = text + " -> " + marks(text)
				}
			}
		}
		if missed > 3*n/100 {
			t.Errorf("%s: missed %d of %d, such as %s", e, missed, 3*n, example)
		}
	}
}
