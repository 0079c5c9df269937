package catalog

import (
	"testing"

	"github.com/memgate/memgate/filter/pii"
)

func TestEveryEntityHasAnEntry(t *testing.T) {
	if len(Entries) != int(pii.NumEntities) {
		t.Errorf("%d entries of %d entities", len(Entries), pii.NumEntities)
	}
	for i, x := range Entries {
		if x.Entity != pii.Entity(i) {
			t.Fatalf("entry %d is of %s, want %s", i, x.Entity, pii.Entity(i))
		}
		if x.Grammar == "" || x.Check == "" || x.Source == "" {
			t.Errorf("%s: a cell is empty", x.Entity)
		}
	}
}

func TestGroups(t *testing.T) {
	for e, want := range map[pii.Entity]string{
		pii.USSSN: "US", pii.AUABN: "AU", pii.JWT: "SECRET", pii.GenericSecret: "SECRET", pii.EmailAddress: "", pii.IPAddress: "", pii.URL: "", pii.DETaxID: "DE",
	} {
		if got := GroupOf(e); got != want {
			t.Errorf("%s is of %q, want %q", e, got, want)
		}
	}
	for _, g := range Groups() {
		if _, ok := pii.ParseEntity(g.Name); ok || len(g.Members) == 0 {
			t.Errorf("group %s", g.Name)
		}
	}
}
