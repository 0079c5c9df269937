package policy

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		err  string
	}{
		{"30s", 30 * time.Second, ""},
		{"600s", 10 * time.Minute, ""},
		{"1h30m", 90 * time.Minute, ""},
		{"0s", 0, ""},
		{"0", 0, "length of time"},
		{"30", 0, "such as 30s"},
		{"-1s", 0, "sign"},
		{"+1s", 0, "sign"},
		{".5s", 0, "point"},
		{"1.h", 0, "point"},
		{"0.5s", 500 * time.Millisecond, ""},
		{"1d", 0, "length of time"},
		{"", 0, "length of time"},
		{"1 h", 0, "length of time"},
		{"9999999h", 0, "length of time"},
	}
	for _, test := range tests {
		var d Duration
		check(t, test.text, d.parse(test.text), test.err)
		if d != Duration(test.want) {
			t.Errorf("%q: %v, want %v", test.text, d, test.want)
		}
	}
}

func TestFraction(t *testing.T) {
	for _, test := range []struct {
		text string
		want Fraction
		err  string
	}{
		{"0", 0, ""}, {"1", Whole, ""}, {"1.0", Whole, ""}, {"0.1", 1000, ""}, {"0.0001", 1, ""}, {"0.25000", 2500, ""}, {"0.9999", 9999, ""},
		{"0.00001", 0, "steps"}, {"1.0001", 0, "from 0 to 1"}, {"2", 0, "from 0 to 1"}, {"-0.1", 0, "from 0 to 1"}, {".5", 0, "from 0 to 1"},
		{"0.", 0, "from 0 to 1"}, {"1e-3", 0, "from 0 to 1"}, {"10%", 0, "from 0 to 1"}, {"", 0, "from 0 to 1"}, {"00.1", 0, "from 0 to 1"},
	} {
		var f Fraction
		check(t, test.text, f.parse(test.text), test.err)
		if f != test.want {
			t.Errorf("%q: %v, want %v", test.text, f, test.want)
		}
	}
	if text := Fraction(1).String(); text != "0.0001" {
		t.Error(text)
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want Size
		err  string
	}{
		{"5000", 5000, ""},
		{"0", 0, ""},
		{"12B", 12, ""},
		{"64KiB", 64 << 10, ""},
		{"1MiB", 1 << 20, ""},
		{"2GiB", 2 << 30, ""},
		{"64KB", 0, "64KiB?"},
		{"64k", 0, "64KiB?"},
		{"1M", 0, "1MiB?"},
		{"1gb", 0, "1GiB?"},
		{"1iB", 0, "unit"},
		{"1.5MiB", 0, "size"},
		{"-1", 0, "size"},
		{"MiB", 0, "size"},
		{"", 0, "size"},
		{"1 KiB", 0, "size"},
		{"9223372036854775807", 9223372036854775807, ""},
		{"9223372036854775808", 0, "too large"},
		{"9007199254740993KiB", 0, "too large"},
	}
	for _, test := range tests {
		var s Size
		check(t, test.text, s.parse(test.text), test.err)
		if s != test.want {
			t.Errorf("%q: %d, want %d", test.text, s, test.want)
		}
	}
}

func TestRate(t *testing.T) {
	tests := []struct {
		text string
		want Rate
		err  string
	}{
		{"60/m", Rate{Limit: 60, Per: time.Minute}, ""},
		{"1/s", Rate{Limit: 1, Per: time.Second}, ""},
		{"5/h", Rate{Limit: 5, Per: time.Hour}, ""},
		{"9/d", Rate{Limit: 9, Per: 24 * time.Hour}, ""},
		{"120/m burst 20", Rate{Limit: 120, Per: time.Minute, Burst: 20}, ""},
		{"0/m", Rate{Per: time.Minute}, ""}, // lint has more to say about it
		{"1/d burst 366", Rate{Limit: 1, Per: 24 * time.Hour, Burst: 366}, ""},
		{"1/d burst 367", Rate{}, "more than a year"},
		{"60", Rate{}, "such as 60/m"},
		{"60/min", Rate{}, "units"},
		{"60/1m", Rate{}, "units"},
		{"-1/m", Rate{}, "such as"},
		{"/m", Rate{}, "such as"},
		{"60/m burst", Rate{}, "such as"},
		{"60/m burst x", Rate{}, "such as"},
		{"60/m burst 0", Rate{}, "burst of zero"},
		{"60/m  burst 2", Rate{}, "units"},
		{"1000000001/s", Rate{}, "too large"},
		{"1/s burst 1000000001", Rate{}, "too large"},
		{"99999999999999999999/s", Rate{}, "such as"},
	}
	for _, test := range tests {
		var r Rate
		check(t, test.text, r.parse(test.text), test.err)
		if r != test.want {
			t.Errorf("%q: %+v, want %+v", test.text, r, test.want)
		}
	}
}

// check compares err with a part of its text; "" stands for none.
func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%q: error %v, want %q", what, err, want)
	}
}

// What a scalar prints it reads, and the pattern of the schema takes what the
// decoder takes.
func FuzzScalars(f *testing.F) {
	for _, seed := range []string{"30s", "1h2m3.5s", "64KiB", "5000", "60/m", "120/d burst 2", "0", "-1", "env:A", "file:a", "1µs", "", "01", "1.h", ".5s", "+1s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, empty := range []scalar{new(Duration), new(Size), new(Rate), new(Secret)} {
			v := reflect.ValueOf(empty)
			if empty.parse(text) != nil {
				continue
			}
			pattern, _ := empty.pattern()
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("%T reads %q, which its pattern refuses", empty, text)
			}
			printed := v.Elem().Interface().(interface{ String() string }).String()
			again := reflect.New(v.Type().Elem())
			if err := again.Interface().(scalar).parse(printed); err != nil || !reflect.DeepEqual(again.Elem().Interface(), v.Elem().Interface()) {
				t.Errorf("%T: %q prints as %q, which reads as %v (%v)", empty, text, printed, again.Elem(), err)
			}
		}
	})
}

func TestString(t *testing.T) {
	for _, test := range []struct {
		value interface{ String() string }
		want  string
	}{
		{Duration(6 * time.Hour), "6h"}, {Duration(10 * time.Minute), "10m"}, {Duration(90 * time.Second), "1m30s"}, {Duration(0), "0s"},
		{Size(64 << 10), "64KiB"}, {Size(1 << 30), "1GiB"}, {Size(5000), "5000"}, {Size(0), "0"},
		{Rate{Limit: 60, Per: time.Minute}, "60/m"}, {Rate{Limit: 1, Per: 24 * time.Hour, Burst: 3}, "1/d burst 3"},
		{Secret("env:A"), "env:A"}, {Secret("hunter2"), "(not a reference)"}, {Secret(""), ""},
	} {
		if got := test.value.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
