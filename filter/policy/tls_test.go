package policy

import (
	"slices"
	"testing"

	"github.com/memgate/memgate/filter/headers"
)

// Strict-Transport-Security goes out over TLS alone, and by itself in production alone.
func TestHSTS(t *testing.T) {
	const own = "{ override: { Strict-Transport-Security: max-age=60 } }"
	for name, c := range map[string]struct {
		change  map[string]string
		set     string // its value
		removed bool   // from the upstream's responses
	}{
		"plain":                {nil, "", true},
		"plain, own":           {map[string]string{"headers": own}, "", true},
		"plain, production":    {map[string]string{"environment": "production"}, "", true},
		"TLS, development":     {map[string]string{"envoy": "{ tls: { sds: s } }"}, "", false},
		"TLS, production":      {map[string]string{"envoy": "{ tls: { sds: s } }", "environment": "production"}, headers.HSTS, false},
		"in front, production": {map[string]string{"envoy": "{ tls_in_front: true }", "environment": "production"}, headers.HSTS, false},
		"TLS, own":             {map[string]string{"envoy": "{ tls: { sds: s } }", "environment": "production", "headers": own}, "max-age=60", false},
		"TLS, none wanted": {map[string]string{"envoy": "{ tls: { sds: s } }", "environment": "production",
			"headers": `{ override: { strict-transport-security: "" } }`}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, err := Parse([]byte(write(c.change)), "memgate.yaml", "")
			if err != nil {
				t.Fatal(err)
			}
			h, err := p.SecurityHeaders()
			if err != nil {
				t.Fatal(err)
			}
			value := ""
			for _, s := range h.Set {
				if s.Name == hsts {
					value = s.Value
				}
			}
			if removed := slices.Contains(h.Remove, hsts); value != c.set || removed != c.removed {
				t.Errorf("set to %q, want %q; removed: %v, want %v", value, c.set, removed, c.removed)
			}
			if err := h.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}
