package doctor

import (
	"fmt"
	"strings"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/verdict"
)

// StatsFilter is what [ExamineStats] is to be given of an Envoy's statistics: the
// query of /stats by which Envoy tells no more than that.
const StatsFilter = `filter=^wasmcustom%5C.memgate%5C.`

const (
	statsPrefix = "wasmcustom.memgate."
	readsPrefix = statsPrefix + "reads."
)

// reads is what a content filter of this build says that it reads.
var reads = fmt.Sprintf("%s%c.%d", readsPrefix, verdict.Version, content.Version)

// ExamineStats reads the answer of /stats and tells whether the content filter in that
// Envoy is of a build that reads what this one writes. Of an Envoy that tells no
// statistics of the filter it finds nothing.
func ExamineStats(text []byte) []Finding {
	filter, others := false, 0
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ":")
		if name == reads {
			return nil // beside that of a filter which it has replaced, maybe
		}
		filter = filter || strings.HasPrefix(name, statsPrefix)
		if strings.HasPrefix(name, readsPrefix) {
			others++
		}
	}
	what := "is older than this memgate, and may not read what it writes: every request is answered 503"
	switch {
	case !filter:
		return nil
	case others > 0:
		what = "reads other versions than this memgate writes: every request is answered 503"
	}
	return []Finding{{
		Rule: "build", Error: true, Where: "content filter", What: what,
		Fix: "give Envoy the memgate.wasm of the same build, under another name than the old one, and use that build's doctor",
	}}
}
