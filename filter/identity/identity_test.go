package identity

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestExtract(t *testing.T) {
	const jwt = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
	const key = "mg_abc_secret"
	const ses = "ms_abc_secret"
	one := func(s string) []string { return []string{s} }
	tests := []struct {
		name               string
		auth, apiKey, sess []string
		want               Credentials
		reason             Reason
		class              Class
	}{
		{name: "nothing"},
		{name: "bearer jwt", auth: one("Bearer " + jwt), want: Credentials{Token: jwt}},
		{name: "scheme in any case", auth: one("bEARER " + jwt), want: Credentials{Token: jwt}},
		{name: "several spaces", auth: one("  Bearer   " + jwt + " \t"), want: Credentials{Token: jwt}},
		{name: "dpop jwt", auth: one("DPoP " + jwt), want: Credentials{Token: jwt, Proven: true}},
		{name: "dpop in any case", auth: one("dpop " + jwt), want: Credentials{Token: jwt, Proven: true}},
		{name: "dpop never takes an api key", auth: one("DPoP " + key), want: Credentials{Token: key, Proven: true}},
		{name: "dpop beside an api key", auth: one("DPoP " + jwt), apiKey: one(key), reason: ReasonAmbiguousCredentials, class: ClassMalformed},
		{name: "dpop beside bearer", auth: one("DPoP " + jwt + ", Bearer " + jwt), reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "bearer api key", auth: one("Bearer " + key), want: Credentials{APIKey: key}},
		{name: "token api key", auth: one("Token " + key), want: Credentials{APIKey: key}},
		{name: "apikey api key", auth: one("ApiKey " + key), want: Credentials{APIKey: key}},
		{name: "token never takes a jwt", auth: one("Token " + jwt), want: Credentials{APIKey: jwt}},
		{name: "x-api-key", apiKey: one(key), want: Credentials{APIKey: key}},
		{name: "session alone", sess: one(ses), want: Credentials{Session: ses}},
		{name: "session beside jwt", auth: one("Bearer " + jwt), sess: one(ses), want: Credentials{Token: jwt, Session: ses}},
		{name: "session beside api key", apiKey: one(key), sess: one(ses), want: Credentials{APIKey: key, Session: ses}},

		{name: "jwt beside api key", auth: one("Bearer " + jwt), apiKey: one(key), reason: ReasonAmbiguousCredentials, class: ClassMalformed},
		{name: "two api keys", auth: one("Bearer " + key), apiKey: one(key), reason: ReasonAmbiguousCredentials, class: ClassMalformed},
		{name: "repeated authorization", auth: []string{"Bearer " + jwt, "Bearer " + jwt}, reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "repeated api key", apiKey: []string{key, key}, reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "repeated session", sess: []string{ses, ses}, reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "joined authorization", auth: one("Bearer " + jwt + ", Bearer " + jwt), reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "joined without space", auth: one("Bearer " + jwt + ",Basic x"), reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "joined api key", apiKey: one(key + "," + key), reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "joined session", sess: one(ses + ", " + ses), reason: ReasonRepeatedCredential, class: ClassMalformed},
		{name: "basic", auth: one("Basic dXNlcjpwYXNz"), reason: ReasonUnsupportedScheme, class: ClassUnauthenticated},
		{name: "empty authorization", auth: one(""), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "scheme only", auth: one("Bearer"), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "scheme and spaces", auth: one("Bearer   "), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "tab between", auth: one("Bearer\t" + jwt), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "two values", auth: one("Bearer " + jwt + " " + jwt), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "padding inside", auth: one("Bearer ab=c"), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "only padding", auth: one("Bearer =="), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "control character", auth: one("Bearer a\x00b"), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "line feed", auth: one("Bearer a\nb"), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "not ascii", auth: one("Bearer äöü"), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "auth-param", auth: one(`Bearer token="x"`), reason: ReasonMalformedAuthorization, class: ClassMalformed},
		{name: "empty api key", apiKey: one(" "), reason: ReasonMalformedAPIKeyHeader, class: ClassMalformed},
		{name: "api key with space", apiKey: one("mg_a b"), reason: ReasonMalformedAPIKeyHeader, class: ClassMalformed},
		{name: "empty session", sess: one(""), reason: ReasonMalformedSessionHeader, class: ClassMalformed},
		{name: "session with quote", sess: one(`"ms_a"`), reason: ReasonMalformedSessionHeader, class: ClassMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Extract(tt.auth, tt.apiKey, tt.sess)
			if tt.reason == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if got != tt.want {
					t.Fatalf("got %+v, want %+v", got, tt.want)
				}
				return
			}
			if err == nil {
				t.Fatalf("accepted as %+v", got)
			}
			if got != (Credentials{}) {
				t.Errorf("credentials beside an error: %+v", got)
			}
			if ReasonOf(err) != tt.reason || ClassOf(err) != tt.class {
				t.Errorf("got %v (class %d), want %s (class %d)", err, ClassOf(err), tt.reason, tt.class)
			}
		})
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("Bearer eyJ.e30.c2ln", "", "", uint8(1))
	f.Add("Token mg_a_b", "mg_a_b", "ms_a_b", uint8(7))
	f.Add("Bearer a, Bearer b", "a,b", "\x00", uint8(7))
	f.Fuzz(func(t *testing.T, auth, key, ses string, present uint8) {
		var a, k, s []string
		if present&1 != 0 {
			a = []string{auth}
		}
		if present&2 != 0 {
			k = []string{key}
		}
		if present&4 != 0 {
			s = []string{ses}
		}
		c, err := Extract(a, k, s)
		if err != nil {
			if cl := ClassOf(err); cl != ClassMalformed && cl != ClassUnauthenticated {
				t.Fatalf("class %d for %v", cl, err)
			}
			if c != (Credentials{}) {
				t.Fatalf("credentials beside an error: %+v", c)
			}
			return
		}
		if c.Token != "" && c.APIKey != "" {
			t.Fatalf("two credentials: %+v", c)
		}
		for _, v := range []string{c.Token, c.APIKey, c.Session} {
			if strings.ContainsAny(v, ", \t\r\n\x00\"") {
				t.Fatalf("credential %q", v)
			}
		}
		if (c.Session != "") != (s != nil) {
			t.Fatalf("session %q from %q", c.Session, s)
		}
		if (c.Token != "" || c.APIKey != "") != (a != nil || k != nil) {
			t.Fatalf("credentials %+v from %q %q", c, a, k)
		}
	})
}

func TestErrorClasses(t *testing.T) {
	plain := errors.New("disk on fire")
	if ClassOf(plain) != ClassUnavailable || ReasonOf(plain) != ReasonInternal {
		t.Error("an unknown error must be answered as unavailable")
	}
	e := Unauthenticated(ReasonTokenExpired, io.EOF)
	if !errors.Is(e, io.EOF) || !IsUnauthenticated(e) || IsForbidden(e) || IsMalformed(e) || IsUnavailable(e) {
		t.Errorf("wrong class of %v", e)
	}
	if e.Error() != "token_expired: EOF" {
		t.Errorf("text %q", e.Error())
	}
	if IsUnavailable(nil) || IsUnauthenticated(nil) {
		t.Error("no error has no class")
	}
	if (&Error{Reason: "x"}).Class != ClassUnauthenticated {
		t.Error("the zero class must refuse as 401")
	}
}

func TestReasonsAreDistinctLabels(t *testing.T) {
	rs := Reasons()
	slices.Sort(rs)
	if n := len(slices.Compact(slices.Clone(rs))); n != len(rs) {
		t.Errorf("%d reasons, %d distinct", len(rs), n)
	}
	for _, r := range rs {
		if strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("reason %q is no label", r)
		}
	}
}

func TestScopes(t *testing.T) {
	p := Principal{Scopes: NormalizeScopes([]string{"memory:write", "", "a", "memory:read", "a"})}
	if !slices.Equal(p.Scopes, []string{"a", "memory:read", "memory:write"}) {
		t.Fatalf("scopes %q", p.Scopes)
	}
	for s, want := range map[string]bool{"a": true, "memory:read": true, "memory": false, "": false, "memory:writer": false} {
		if p.HasScope(s) != want {
			t.Errorf("HasScope(%q) = %v", s, !want)
		}
	}
	for s, want := range map[string]bool{
		"memory:read": true, "": false, "a b": false, `a"b`: false, `a\b`: false, "ä": false,
		strings.Repeat("a", MaxScopeLength): true, strings.Repeat("a", MaxScopeLength+1): false,
	} {
		if ValidScope(s) != want {
			t.Errorf("ValidScope(%q) = %v", s, !want)
		}
	}
	for s, want := range map[string]bool{
		"user|42": true, "Jane Doe": true, "": false, " a": false, "a\n": false, "ä": false,
		strings.Repeat("a", MaxSubjectLength+1): false,
	} {
		if ValidSubject(s) != want {
			t.Errorf("ValidSubject(%q) = %v", s, !want)
		}
	}
}
