package sample

import (
	"reflect"
	"strings"
	"testing"
)

func TestSetIsDeterministic(t *testing.T) {
	if !reflect.DeepEqual(Set(1, 3), Set(1, 3)) {
		t.Error("equal seeds make different texts")
	}
	if reflect.DeepEqual(Set(1, 3), Set(2, 3)) {
		t.Error("different seeds make equal texts")
	}
}

func TestTexts(t *testing.T) {
	seen := map[string]int{}
	for _, x := range Set(3, 10) {
		if strings.Contains(x.Text, "%L") || strings.Contains(x.Text, "%V") || strings.Contains(x.Text, "%W") {
			t.Errorf("a frame is not filled: %q", x.Text)
		}
		for _, l := range x.Labels {
			seen[l.Entity]++
			if l.Start >= l.End || l.End > len(x.Text) {
				t.Errorf("label %+v of %q", l, x.Text)
			}
		}
	}
	for _, name := range Names() {
		if seen[name] != 10 {
			t.Errorf("%d values of %s", seen[name], name)
		}
	}
}
