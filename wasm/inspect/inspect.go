// Package inspect applies a content policy to one HTTP exchange: which request
// may go on, what of its body, and what the response looks like when it leaves.
//
// It is pure. The Wasm filter hands it headers and pieces of bodies as they come
// and does what it answers; tests do the same without Envoy. A body's stages
// stand in [Body.Next], a message's in [Rules.Request] and [Rules.Response].
package inspect

import (
	"errors"

	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/cors"
	"github.com/memgate/memgate/filter/headers"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
)

// Rules are a content policy, compiled. They are not safe for concurrent use; a
// Wasm VM has one thread.
type Rules struct {
	policy   *content.Policy
	cors     *cors.Matcher
	asked    needs                        // of requests
	answered needs                        // of responses
	watches  bool                         // a stage is not enforced
	scores   *poison.Set                  // of requests' texts; nil when there are none
	idle     [2 * pii.NumFormats][]reader // of bodies that are done, for those to come, by use.index
}

// reader is what reads a body.
type reader struct {
	rewriter *pii.Rewriter
	scanner  *poison.Scanner // nil when texts have no score
}

// use is what a rewriter is for.
type use struct {
	response bool
	format   pii.Format
}

func (u use) index() int {
	if u.response {
		return int(pii.NumFormats + u.format)
	}
	return int(u.format)
}

// maxIdle bounds the rewriters that a policy keeps for each use.
const maxIdle = 16

// Compile reads a content policy in its wire form.
func Compile(wire []byte) (*Rules, error) {
	policy, err := content.Parse(wire)
	if err != nil {
		return nil, err
	}
	matcher, err := cors.New(policy.CORS)
	if err != nil {
		return nil, err
	}
	rules := newRules(policy, matcher)
	if p := policy.Request.Poison; p.Action != poison.Off && policy.Modes.Poison != content.Off {
		if rules.scores, err = poison.Compile(p); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func newRules(policy *content.Policy, matcher *cors.Matcher) *Rules {
	return &Rules{
		policy: policy, cors: matcher,
		asked: needsOf(&policy.Request), answered: needsOf(&policy.Response),
		watches: policy.Modes != content.Modes{},
	}
}

// Unknown stands in where no policy is known: it allows no origin and sets the
// security headers of an API. No body passes it.
func Unknown() (*Rules, error) {
	security, err := headers.New("api", nil)
	if err != nil {
		return nil, err
	}
	matcher, err := cors.New(cors.Policy{})
	if err != nil {
		return nil, err
	}
	return newRules(&content.Policy{Headers: security}, matcher), nil
}

// errDigest means that a content policy is not the one that was asked for.
var errDigest = errors.New("the content policy does not have the digest that it was asked for by")

// DigestLength is the length of a digest in characters.
const DigestLength = 64

// ValidDigest reports whether s has the form of a digest: 64 hexadecimal
// characters in lower case.
func ValidDigest(s string) bool {
	if len(s) != DigestLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Cache keeps compiled policies by digest. It is bounded: when it is full the
// oldest goes. It is not safe for concurrent use; a Wasm VM has one thread.
type Cache struct {
	max   int
	rules map[string]*Rules
	order []string // digests, oldest at next
	next  int
}

// NewCache returns a cache of at most max policies.
func NewCache(max int) *Cache {
	return &Cache{max: max, rules: make(map[string]*Rules)}
}

// Get returns the policy with a digest, or nil.
func (c *Cache) Get(digest string) *Rules { return c.rules[digest] }

// Len is the number of policies that are held.
func (c *Cache) Len() int { return len(c.rules) }

// Add verifies that wire has the digest, compiles it and keeps it.
func (c *Cache) Add(digest string, wire []byte) (*Rules, error) {
	if content.Digest(wire) != digest {
		return nil, errDigest
	}
	if known := c.rules[digest]; known != nil {
		return known, nil
	}
	rules, err := Compile(wire)
	if err != nil {
		return nil, err
	}
	digest = string([]byte(digest)) // of its own, not a part of some message
	if len(c.order) < c.max {
		c.order = append(c.order, digest)
	} else {
		delete(c.rules, c.order[c.next])
		c.order[c.next] = digest
		c.next = (c.next + 1) % c.max
	}
	c.rules[digest] = rules
	return rules, nil
}
