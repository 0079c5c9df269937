package memory

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
)

// ErrSpace says that a store cannot keep vectors of this model and length beside those that it holds.
var ErrSpace = errors.New("memory: vectors of another length")

// MaxDimensions is the greatest length of a dense vector, in numbers.
const MaxDimensions = 8192

// Space is what dense vectors are comparable in: those of one model, of one length. The zero Space is none.
type Space struct {
	Model      string
	Dimensions int
}

// String names the space; no two have the same name.
func (s Space) String() string { return strconv.Itoa(s.Dimensions) + " " + s.Model }

// Embedded is the dense vector of a memory's EmbedText, of unit length.
type Embedded struct {
	ID      string
	Version int64 // that of the memory whose text it is
	Vector  []float32
}

// VectorStore is a Store that also keeps a dense vector of each memory, in one space for each. A vector goes with its
// memory, and with the text that it is of: an update that changes EmbedText drops it. Engines ignore vectors that are
// not of the length of their space.
type VectorStore interface {
	Store
	// SetVectors stores the vectors of those memories that are there at the version named, in the place of what they
	// had, and returns how many these were.
	SetVectors(ctx context.Context, tenant string, space Space, list []Embedded) (int, error)
	// Unembedded returns memories that the filter selects and that have no vector in the space, in the order in which they
	// were added, behind the number after, at most limit.
	Unembedded(ctx context.Context, tenant string, space Space, filter Filter, after int64, limit int) ([]*Memory, error)
	// CountVectors returns how many memories have a vector in the space, and how many there are.
	CountVectors(ctx context.Context, tenant string, space Space) (have, all int, err error)
}

// EmbedText returns the text that a dense vector is made of: the title, when it says more than the content does, and
// the content.
func (m *Memory) EmbedText() string {
	if m.Title != "" && !strings.HasPrefix(m.Content, strings.TrimSuffix(m.Title, "...")) {
		return m.Title + "\n" + m.Content
	}
	return m.Content
}

// Unit scales a vector to the length 1, in place; false for one that has no direction, or numbers that are none.
func Unit(v []float32) bool {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) || sum < 1e-30 {
		return false
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
	return true
}

// Dot returns the product of two vectors of the same length, which is their cosine when they are of unit length.
func Dot(a, b []float32) float64 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return float64(s0) + float64(s1) + float64(s2) + float64(s3)
}
