package pii

import (
	"slices"
	"testing"
)

func TestEntityNames(t *testing.T) {
	for e := range NumEntities {
		if got, ok := ParseEntity(e.String()); !ok || got != e {
			t.Errorf("ParseEntity(%q) = %d, %v", e.String(), got, ok)
		}
	}
	for _, s := range []string{"", "email_address", "UNKNOWN", "EMAIL_ADDRESS "} {
		if got, ok := ParseEntity(s); ok {
			t.Errorf("ParseEntity(%q) = %s", s, got)
		}
	}
	if NumEntities.String() != "UNKNOWN" {
		t.Error(NumEntities.String())
	}
}

func TestActionNames(t *testing.T) {
	for a := range numActions {
		if got, ok := ParseAction(a.String()); !ok || got != a {
			t.Errorf("ParseAction(%q) = %d, %v", a.String(), got, ok)
		}
	}
	for _, s := range []string{"", "Redact", "unknown", "drop"} {
		if got, ok := ParseAction(s); ok || got != Allow {
			t.Errorf("ParseAction(%q) = %s, %v", s, got, ok)
		}
	}
	if numActions.String() != "unknown" {
		t.Error(numActions.String())
	}
}

func TestCodePoints(t *testing.T) {
	text := []byte("请joe@example.com\U0001F600\xffé 192.0.2.1")
	fs := Scan(nil, text)
	if len(fs) != 2 {
		t.Fatalf("%+v", fs)
	}
	CodePoints(text, fs)
	got := []int{fs[0].Start, fs[0].End, fs[1].Start, fs[1].End}
	if want := []int{1, 16, 20, 29}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Of two findings that overlap the surer wins, then the longer, and what it
// displaces becomes part of it.
func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		have []Finding
		add  candidate
		want []Finding
	}{
		{nil, candidate{PhoneNumber, 5, 9, 0.6}, []Finding{{Entity: PhoneNumber, Start: 5, End: 9, Score: 0.6}}},
		{[]Finding{{Entity: CreditCard, Start: 0, End: 9, Score: 0.8}}, candidate{PhoneNumber, 5, 12, 0.6}, []Finding{{Entity: CreditCard, Start: 0, End: 9, Score: 0.8}}},
		{[]Finding{{Entity: CreditCard, Start: 0, End: 9, Score: 0.8}}, candidate{PhoneNumber, 9, 12, 0.6}, []Finding{{Entity: CreditCard, Start: 0, End: 9, Score: 0.8}, {Entity: PhoneNumber, Start: 9, End: 12, Score: 0.6}}},
		{[]Finding{{Entity: PhoneNumber, Start: 2, End: 9, Score: 0.6}}, candidate{EmailAddress, 5, 20, 0.9}, []Finding{{Entity: EmailAddress, Start: 2, End: 20, Score: 0.9}}},
		{[]Finding{{Entity: PhoneNumber, Start: 2, End: 9, Score: 0.6}}, candidate{CreditCard, 2, 10, 0.6}, []Finding{{Entity: CreditCard, Start: 2, End: 10, Score: 0.6}}},
		{[]Finding{{Entity: PhoneNumber, Start: 2, End: 9, Score: 0.6}}, candidate{CreditCard, 2, 9, 0.6}, []Finding{{Entity: PhoneNumber, Start: 2, End: 9, Score: 0.6}}},
		{[]Finding{{Entity: GitHubToken, Start: 2, End: 9, Score: 0.5}}, candidate{EmailAddress, 2, 20, 0.9}, []Finding{{Entity: GitHubToken, Start: 2, End: 9, Score: 0.5}}},
	} {
		if got, _ := add(slices.Clone(c.have), 0, c.add, 0); !slices.Equal(got, c.want) {
			t.Errorf("add(%+v, %+v)\n got %+v\nwant %+v", c.have, c.add, got, c.want)
		}
	}
}

func TestContextWords(t *testing.T) {
	for _, c := range []struct {
		text  string
		found bool
	}{
		{"4155550132", false}, {"phone 4155550132", true}, {"my Phone: 4155550132", true}, {"phoneNumber=4155550132", true}, {"phone_number 4155550132", true},
		{"megaphone 4155550132", false}, {"phone about the order 4155550132", false}, {"the order, call 4155550132", true},
		{"phone, which he said he would answer any time of day, is 4155550132", false},
		{"id 123-456-7890", false}, {"ssn 123456789", true}, {"taxpayer no. 123456789", true}, {"version 10.20.30.40", false}, {"host 10.20.30.40", true},
	} {
		if got := len(Scan(nil, []byte(c.text))) == 1; got != c.found {
			t.Errorf("%q: found %v", c.text, got)
		}
	}
}
