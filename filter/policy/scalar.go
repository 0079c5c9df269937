package policy

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/ratelimit"
)

// scalar is a type that is written as one YAML scalar. parse gets the text of
// the scalar; what it returns as an error never holds that text unless it is
// harmless to show.
type scalar interface {
	parse(text string) error
	pattern() (regex, example string) // for the JSON Schema and the reference
}

var (
	_ scalar = (*Duration)(nil)
	_ scalar = (*Size)(nil)
	_ scalar = (*Rate)(nil)
	_ scalar = (*Secret)(nil)
	_ scalar = (*Claim)(nil)
	_ scalar = (*Tenant)(nil)
)

// Duration is a length of time written as Go writes it: 30s, 10m, 6h.
type Duration time.Duration

// String is d in the form that the file takes.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func (d *Duration) parse(text string) error {
	v, err := time.ParseDuration(text)
	switch {
	case err == nil && !isPlain(text):
		return errors.New("must be written with digits on both sides of a point and without a sign")
	case err != nil && isDecimal(text):
		return fmt.Errorf("must be a length of time with a unit, such as %ss", text)
	case err != nil || text == "0":
		return errors.New("must be a length of time, such as 30s, 10m or 6h")
	}
	*d = Duration(v)
	return nil
}

func (*Duration) pattern() (string, string) {
	return `^([0-9]+(\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h))+$`, "30s"
}

// isPlain reports whether a duration that Go reads has no sign and no point
// without digits around it.
func isPlain(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '+', '-':
			return false
		case '.':
			if i == 0 || !isDecimal(text[i-1:i]) || !isDecimal(text[i+1:i+2]) {
				return false
			}
		}
	}
	return true
}

// Size is a number of bytes: 64KiB, 10KiB, 1MiB, or a plain number.
type Size int64

// sizeUnits are in descending order; the empty unit comes last.
var sizeUnits = [...]struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// String is s with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && u.bytes > 1 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func (s *Size) parse(text string) error {
	digits := strings.TrimRight(text, "BGKMTbgikmt")
	unit := text[len(digits):]
	if !isDecimal(digits) {
		return errors.New("must be a size, such as 64KiB, 1MiB or 5000")
	}
	for _, u := range sizeUnits {
		if u.name != unit {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/u.bytes {
			return errors.New("is too large")
		}
		*s = Size(n * u.bytes)
		return nil
	}
	if unit[0] == 'g' || unit[0] == 'G' {
		return fmt.Errorf("must be a size with the unit KiB, MiB or GiB; did you mean %sGiB?", digits)
	}
	if unit[0] == 'k' || unit[0] == 'K' {
		return fmt.Errorf("must be a size with the unit KiB, MiB or GiB; did you mean %sKiB?", digits)
	}
	if unit[0] == 'm' || unit[0] == 'M' {
		return fmt.Errorf("must be a size with the unit KiB, MiB or GiB; did you mean %sMiB?", digits)
	}
	return errors.New("must be a size with the unit KiB, MiB or GiB")
}

func (*Size) pattern() (string, string) { return `^[0-9]+(B|KiB|MiB|GiB)?$`, "64KiB" }

// Rate is a number of requests in a length of time, 60/m, with an optional
// burst, "120/m burst 20". The units are s, m, h and d.
type Rate ratelimit.Rate

// String is r in the form that the file takes.
func (r Rate) String() string {
	unit := r.Per.String()
	switch r.Per {
	case time.Second:
		unit = "s"
	case time.Minute:
		unit = "m"
	case time.Hour:
		unit = "h"
	case 24 * time.Hour:
		unit = "d"
	}
	s := strconv.Itoa(r.Limit) + "/" + unit
	if r.Burst > 0 {
		s += " burst " + strconv.Itoa(r.Burst)
	}
	return s
}

// maxRate bounds limits and bursts, so that arithmetic on them cannot overflow.
const maxRate = 1_000_000_000

var errRate = errors.New("must be a rate, such as 60/m or 120/m burst 20; the units are s, m, h and d")

func (r *Rate) parse(text string) error {
	rate, burst, hasBurst := strings.Cut(text, " burst ")
	limit, unit, ok := strings.Cut(rate, "/")
	if !ok || !isDecimal(limit) || hasBurst && !isDecimal(burst) {
		return errRate
	}
	var out Rate
	switch unit {
	case "s":
		out.Per = time.Second
	case "m":
		out.Per = time.Minute
	case "h":
		out.Per = time.Hour
	case "d":
		out.Per = 24 * time.Hour
	default:
		return errRate
	}
	var err error
	if out.Limit, err = strconv.Atoi(limit); err != nil || out.Limit > maxRate {
		return errors.New("is too large a rate")
	}
	if hasBurst {
		if out.Burst, err = strconv.Atoi(burst); err != nil || out.Burst > maxRate {
			return errors.New("is too large a burst")
		}
		if out.Burst == 0 {
			return errors.New("must not have a burst of zero, which would refuse everything")
		}
	}
	if out.Limit > 0 && ratelimit.Rate(out).Validate() != nil { // lint tells of a limit of zero
		return errors.New("has a burst that would take more than a year to come back")
	}
	*r = out
	return nil
}

func (*Rate) pattern() (string, string) { return `^[0-9]+/[smhd]( burst [1-9][0-9]*)?$`, "60/m" }

func (c *Claim) parse(text string) error {
	if text == "" {
		return errors.New("must not be empty")
	}
	c.Claim = text
	return nil
}

func (*Claim) pattern() (string, string) { return `^.+$`, "org_id" }

func (t *Tenant) parse(text string) error {
	var c Claim
	err := c.parse(text)
	t.Claim = c.Claim
	return err
}

func (*Tenant) pattern() (string, string) { return (*Claim)(nil).pattern() }

// isShort reports whether a scalar may stand for the struct t in the file.
func isShort(t reflect.Type) bool {
	return t == reflect.TypeFor[Claim]() || t == reflect.TypeFor[Tenant]()
}

// isDecimal reports whether s is one or more decimal digits, not too many.
func isDecimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 19
}
