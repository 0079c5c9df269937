package revocation

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func some() []Entry {
	return []Entry{
		{Kind: KindKey, ID: "4xSqbGbiVBjW", Made: noon},
		{Kind: KindToken, Issuer: "https://idp.test", ID: "j-1", Until: noon.Add(time.Hour), Made: noon},
		{Kind: KindSubject, Issuer: "https://idp.test", ID: "jane", Before: noon, Until: noon.Add(time.Hour), Made: noon},
		{Kind: KindKeySubject, Tenant: "acme", ID: "jane", Before: noon, Made: noon},
		{Kind: KindPeer, ID: "spiffe://example.org/ns/acme/sa/web", Made: noon},
		{Kind: KindSession, ID: "AAAAAAAAAAAAAAAA", Until: noon.Add(Told), Made: noon},
		{Kind: KindSessionChanged, ID: "AAAAAAAAAAAAAAAA", Until: noon.Add(Told), Made: noon},
	}
}

func TestEntryIsReadAsWritten(t *testing.T) {
	for _, e := range some() {
		got, err := Parse(e.Marshal())
		if err != nil || got != e {
			t.Errorf("%s: %+v, %v", e.Marshal(), got, err)
		}
	}
}

func TestEntriesThatAreNone(t *testing.T) {
	for name, edit := range map[string]func(*Entry){
		"unknown kind":               func(e *Entry) { e.Kind = "tenant" },
		"no kind":                    func(e *Entry) { e.Kind = "" },
		"no id":                      func(e *Entry) { e.ID = "" },
		"an id with a line feed":     func(e *Entry) { e.ID = "a\nb" },
		"an endless id":              func(e *Entry) { e.ID = strings.Repeat("a", 300) },
		"a token without issuer":     func(e *Entry) { e.Issuer = "" },
		"an issuer beyond ASCII":     func(e *Entry) { e.Issuer = "https://idp.test/ä" },
		"an endless issuer":          func(e *Entry) { e.Issuer = strings.Repeat("a", maxIssuer+1) },
		"a key with an issuer":       func(e *Entry) { e.Kind = KindKey },
		"a token up to some time":    func(e *Entry) { e.Before = noon },
		"a subject without a time":   func(e *Entry) { e.Kind = KindSubject },
		"a token of a tenant":        func(e *Entry) { e.Tenant = "acme" },
		"a peer with an issuer":      func(e *Entry) { e.Kind = KindPeer },
		"a peer up to some time":     func(e *Entry) { e.Kind, e.Issuer, e.Before = KindPeer, "", noon },
		"whose keys is not said":     func(e *Entry) { e.Kind, e.Issuer, e.Before = KindKeySubject, "", noon },
		"keys of no tenant's name":   func(e *Entry) { e.Kind, e.Issuer, e.Tenant, e.Before = KindKeySubject, "", "a/b", noon },
		"keys without a time":        func(e *Entry) { e.Kind, e.Issuer, e.Tenant = KindKeySubject, "", "acme" },
		"a session that has no end":  func(e *Entry) { e.Kind, e.Issuer, e.Until = KindSession, "", time.Time{} },
		"a session that has changed": func(e *Entry) { e.Kind, e.Issuer, e.Until = KindSessionChanged, "", time.Time{} },
	} {
		e := some()[1]
		edit(&e)
		if err := e.Valid(); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Parse(e.Marshal()); !errors.Is(err, ErrEntry) {
			t.Errorf("%s, parsed: %v", name, err)
		}
	}
	for _, text := range []string{"", "{}", "null", "[]", `{"kind":"key","id":"a"} x`, `{"kind":"key","id":"a","tenant":"acme"}`, `{"kind":"key","id":1}`, `{"kind":"key","id":"a"`, strings.Repeat(" ", maxEntry+1)} {
		if _, err := Parse(text); !errors.Is(err, ErrEntry) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What an older version wrote is read as before.
func TestOlderEntries(t *testing.T) {
	for text, want := range map[string]Entry{
		`{"kind":"key","id":"4xSqbGbiVBjW","made":1777636800000}`:                                                                      {Kind: KindKey, ID: "4xSqbGbiVBjW", Made: noon},
		`{"kind":"subject","issuer":"https://idp.test","id":"jane","before":1777636800000,"until":1777640400000,"made":1777636800000}`: some()[2],
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if got := want.Marshal(); got != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range some() {
		f.Add(e.Marshal())
	}
	f.Add(`{"kind":"key","id":"a","until":-1}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrEntry) {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse(e.Marshal())
		if err != nil || again != e {
			t.Fatalf("%q: %+v, then %+v, %v", text, e, again, err)
		}
	})
}
