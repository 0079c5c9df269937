package rights

// Preset is an expiry policy that is there to begin with.
type Preset struct {
	Name, Description string
	Expiry            Expiry
}

// pinned keeps what a user has tagged so, whatever else says that it expires.
var pinned = ExpiryRule{Name: "pinned", Match: ExpiryMatch{Tags: []string{"pinned"}}, After: Never}

func scratch(after string) ExpiryRule {
	return ExpiryRule{Name: "scratch-notes", Match: ExpiryMatch{Tags: []string{"scratch", "temp"}}, After: after}
}

func unsure(name, after string, provenance ...string) ExpiryRule {
	half := 0.5
	return ExpiryRule{Name: name, Match: ExpiryMatch{Provenance: provenance, Below: &half}, After: after}
}

// Presets returns MEMANTO's policies: the same names, types, rules and times. Preferences, instructions and relationships expire by none.
func Presets() []Preset {
	return []Preset{
		{"conservative", "Only what is true for a while expires: contexts, events and errors. Nothing is forgotten.", Expiry{
			Version: 1, Retention: map[string]string{"context": "30d", "event": "90d", "error": "90d"}, Rules: []ExpiryRule{pinned}, Purge: Never}},
		{"balanced", "What an agent works with expires within weeks, what it made or owes within months. Nothing is forgotten.", Expiry{
			Version:   1,
			Retention: map[string]string{"context": "7d", "event": "30d", "error": "30d", "observation": "60d", "commitment": "90d", "artifact": "180d"},
			Rules:     []ExpiryRule{pinned, scratch("3d"), unsure("low-confidence-guesses", "14d", "inferred")}, Purge: Never}},
		{"aggressive", "Nearly everything expires within half a year, and is forgotten a year after.", Expiry{
			Version: 1,
			Retention: map[string]string{"context": "3d", "event": "14d", "error": "14d", "observation": "30d", "commitment": "30d", "artifact": "60d",
				"fact": "180d", "decision": "180d", "goal": "180d", "learning": "180d"},
			Rules: []ExpiryRule{pinned, scratch("1d"), unsure("low-confidence-imports", "7d", "imported", "inferred")}, Purge: "365d"}},
	}
}
