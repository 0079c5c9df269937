package policy

import (
	"slices"
	"strings"
)

// laterKey explains keys that a reader of other documents, or of other
// gateways, expects and that this version does not have. It returns "" for
// keys that are just unknown.
func laterKey(key, path string) (rule, message string) {
	switch word := fold(key); {
	case strings.HasPrefix(word, "failure"), strings.HasPrefix(word, "failopen"), word == "onerror", word == "onfailure", word == "statusonerror":
		return "fail-open", `there is no key "` + failKey(key) + `"` + in(path) + ": memgate has no fail-open; when a part of it fails the request is refused, so remove the key"
	case word == "mode" && !hasMode(path):
		return "later", `"mode"` + in(path) + " is not a key: cors, headers, identity, tenant, access, limits, content, pii, poison and audit have one, and everything else always enforces; remove it"
	case word == "reveal" && path != "pii.pseudonyms":
		return "unknown-key", `"reveal"` + in(path) + " belongs to pii.pseudonyms: pii.pseudonyms.reveal names the scope"
	case path == "identity" && (word == "mtls" || word == "spiffe"):
		return "later", "peers that Envoy verified by mutual TLS are named in identity.mesh, and tokens that are bound to a certificate wanted by sender_constrained: mtls"
	case path == "pii" && word == "entities":
		return "later", `there is no key "entities"` + in(path) + "; entities that the policy adds are in pii.custom"
	}
	return "", ""
}

// failKey is key, shortened: it was recognized by its beginning only.
func failKey(key string) string {
	if len(key) > 32 || looksSecret(key) {
		return key[:4] + "…"
	}
	return key
}

// hasMode reports whether the section at path has a mode.
func hasMode(path string) bool {
	return slices.ContainsFunc(new(Policy).sections(), func(s section) bool { return s.name == path })
}
