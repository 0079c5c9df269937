package attacks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere is the rest of the list of attacks: those that take several steps, or a system
// that is set up in another way than that of [table], by group, with the test that makes
// them and the names that it has for them. Entries that must succeed stand among them, so
// that it is seen that the others are not refused for another reason. Without names the
// whole test is one attack. [TestList] keeps the list true.
var elsewhere = []struct {
	group, file, test string
	attacks           []string
}{
	{"forged tokens", "identity_test.go", "TestForgedTokens", []string{
		"none", "None", "no algorithm", "HS256 with the public key",
		"HS256 with nothing", "ES384", "RS256", "a key of one's own",
		"a key set of one's own", "a certificate of one's own", "an unknown critical header", "an unencoded payload",
		"compressed", "nested", "an algorithm twice", "a tenant twice",
		"a kid that is a path", "a kid that is SQL", "a signature of zeros", "no signature",
		"two parts", "four parts", "five parts", "a signature in DER",
		"bits left over", "padding", "plus and slash", "another tenant, the same token",
		"expired", "no expiry", "an expiry that is text", "an expiry beyond all bounds",
		"not yet valid", "issued in the future", "another issuer", "an issuer with a slash",
		"no issuer", "another audience", "memgate's own audience", "no audience",
		"no tenant", "a tenant that leaves its folder", "a tenant with a NUL", "a tenant with a line break",
		"a tenant that is a list", "an empty tenant", "a long tenant", "a subject with a line break",
		"a subject beyond ASCII", "no subject", "encrypted", "9000 bytes",
		"a Txn-Token", "deep claims",
	}},
	{"forged tokens, by the reason of their refusal", "../../filter/token/attack_test.go", "TestAttacks", nil},
	{"a flood of unknown keys", "identity_test.go", "TestUnknownKeysDoNotFloodTheIssuer", nil},
	{"withdrawn keys", "../idp/token_test.go", "TestWithdrawnKey", nil},
	{"the discovery of another issuer", "../idp/token_test.go", "TestDiscoveryOfAnotherIssuer", nil},
	{"tokens bound to a key", "../idp/dpop_test.go", "TestDPoP", []string{
		"proven", "proven once more", "proven, URL in another form", "the same proof again",
		"no proof", "downgraded to Bearer", "downgraded, with the proof", "a token that is not bound",
		"a token that is not bound, proven", "a thief with a key of its own", "proof of another token", "proof without the token",
		"proof of another method", "proof of another path", "proof of another host", "proof of the token endpoint",
		"old proof", "proof made ahead", "proof without an id", "garbage for a proof",
		"the token for a proof", "nothing",
	}},
	{"API keys", "identity_test.go", "TestAPIKeysCannotBeProbed", []string{
		"revoked", "a wrong secret", "an unknown id", "cut off",
		"the id alone", "nothing but the prefix", "another case", "9000 bytes",
	}},
	{"who gets in", "../edge/access_test.go", "TestWhoGetsIn", []string{
		"token", "no credential", "garbage", "basic",
		"signature cut off", "expired", "unknown API key", "two credentials",
		"no scope", "no route", "no route, no method", "anonymous",
	}},
	{"peers of a mesh", "../tls/peers_test.go", "TestPeers", []string{
		"a peer", "another peer of its tenant", "a peer of another tenant", "a token through a peer",
		"a bad token through a peer", "another trust domain", "a longer trust domain", "an unknown path",
		"two SPIFFE IDs", "two SPIFFE IDs, the other way", "a URI beside it", "not a SPIFFE ID",
		"another kind of URI", "a DNS name", "no certificate", "a certificate of others",
	}},
	{"tenants and agents by name", "../edge/compare_test.go", "TestCompare", []string{
		"nothing is named", "the own, everywhere", "another tenant's header", "another tenant's query",
		"a query that breaks off", "another tenant's body", "by an escaped name", "the own tenant and another",
		"behind a long text", "another agent's query", "another agent's body",
	}},
	{"the service, past the edge", "../edge/access_test.go", "TestBackendRefusesDirectCalls", []string{
		"nothing", "a caller's own token", "the headers alone", "a caller's token as it",
	}},
	{"ports behind the edge", "behind_test.go", "TestPortsBehindTheEdge", []string{
		"a good token", "a good token at memgate", "the service's token at memgate", "memgate's token at the service",
		"nothing at memgate", "headers at memgate", "a caller's token at memgate", "a caller's token as the edge's",
		"an old token", "an old token at memgate", "a token of tomorrow", "two tokens",
		"two tokens in one line", "none", "no signature", "another tenant",
		"an agent that leaves its folder", "a content policy that is a path", "a content policy that is not there", "deleting metrics",
		"profiles", "profiles of the service",
	}},
	{"strangers on the hops", "../tls/hops_test.go", "TestHops", []string{
		"Envoy's certificate", "a stranger's", "none", "plain",
	}},
	{"HTTP/3", "../tls/http3_test.go", "TestHTTP3", []string{
		"no credential", "no route", "an escaped slash", "malformed JSON",
		"a body beyond size", "early data",
	}},
	{"an impostor of the service", "../tls/hops_test.go", "TestImpostor", nil},
	{"HTTP/2", "http2_test.go", "TestHTTP2", []string{
		"nothing wrong", "a request in the path", "a space in the path", "a request in the method",
		"a space in the method", "a lower-case method", "a line break in a value", "a bare line feed in a value",
		"a bare carriage return in a value", "a NUL in a value", "a line break in a name", "a colon in a name",
		"a space in a name", "an upper-case name", "an empty name", "an underscore in a name",
		"transfer-encoding", "connection", "proxy-connection", "te",
		"upgrade", "a length that is too short", "a length that is too long", "two lengths",
		"a length without a body", "two paths", "two methods", "a path behind the headers",
		"an unknown pseudo-header", "no path", "an empty path", "an absolute path",
		"an asterisk", "no method", "a status in a request", "an odd scheme",
		"an odd authority", "a host beside the authority", "extended CONNECT", "CONNECT",
		"an identity", "an identity in the trailers", "a path in the trailers", "a credential twice",
		"a session twice", "an encoded slash", "a path that is not UTF-8", "200 headers",
	}},
	{"requests taken back", "http2_test.go", "TestRequestsTakenBack", nil},
	{"slow callers", "behind_test.go", "TestSlowCallers", nil},
	{"random messages", "behind_test.go", "TestRandomMessages", nil},
	{"checks of odd shapes", "behind_test.go", "TestChecksOfOddShapes", []string{
		"as Envoy without encode_raw_headers", "as Envoy with it", "a credential twice, joined", "a credential twice, by case",
		"a credential twice, raw", "a credential that only one of the lists has", "no id", "no method",
		"no path", "a path without a slash", "a path that nobody normalized", "slashes that nobody merged",
		"an encoded slash that nobody refused", "a path with a host", "nothing", "20000 reserved headers",
	}},
	{"hostile requests to Envoy", "../failure/failure_test.go", "TestHostileRequests", []string{
		"escaped slash", "escaped backslash", "underscore", "two lengths",
		"length and chunks", "no host", "garbage", "HTTP/1.0",
		"large header", "many headers", "upgrade",
	}},
	{"an authz service that oversteps", "../failure/failure_test.go", "TestAuthzOversteps", []string{
		"path", "method", "bytes",
	}},
	{"the filter without a decision", "../wasm/stream_test.go", "TestNoDecision", []string{
		"no metadata", "nothing for the filter", "another version", "cut off", "more than there is to say", "no policy",
		"a digest that is none", "a key that is none",
	}},
	{"a forged client certificate header", "../failure/failure_test.go", "TestForgedIdentity", nil},
	{"a proof at several instances", "../idp/dpop_test.go", "TestDPoPReplayAcrossInstances", nil},
	{"proofs without a nonce", "../idp/dpop_test.go", "TestDPoPNonce", []string{"made up", "empty", "not a text", "cut off", "longer"}},
	{"tokens bound to a certificate", "../idp/mtls_test.go", "TestCertificateBoundTokens", nil},
	{"sessions", "identity_test.go", "TestSessionsStayWithinTheirBounds", nil},
	{"revoked credentials", "../sessions/sessions_test.go", "TestFile", nil},
	{"revoked credentials, fleet", "../sessions/sessions_test.go", "TestRedis", nil},
	{"forged identity headers", "../edge/access_test.go", "TestSpoofedIdentityHasNoEffect", nil},
	{"files", "behind_test.go", "TestFilesAreForTheirOwner", nil},
	{"what metrics and trail tell", "behind_test.go", "TestMetricsAndTrailHoldNothingOfTheCaller", nil},
	{"guessing of credentials", "../limits/limits_test.go", "TestBeforeAuth", nil},
	{"traces that clients choose", "../tracing/tracing_test.go", "TestOneTrace", nil},
	{"a log that was changed", "../audit/audit_test.go", "TestLogOfARunningSystem", nil},
}

// Each test that the list names is there, and has these attacks and no others. Each threat of
// SECURITY.md names the groups that are about it.
func TestList(t *testing.T) {
	n, groups := 0, make(map[string]bool)
	for _, g := range table {
		groups[g.group] = true
		n += len(g.attacks)
	}
	for _, e := range elsewhere {
		if groups[e.group] {
			t.Errorf("two groups are called %q", e.group)
		}
		groups[e.group] = true
		n += max(len(e.attacks), 1)
		names, err := attacksOf(filepath.FromSlash(e.file), e.test)
		if err != nil {
			t.Error(err)
		}
		if e.attacks != nil && !slices.Equal(names, e.attacks) {
			t.Errorf("%s of %s has the attacks %q, and is listed with %q", e.test, e.file, names, e.attacks)
		}
	}
	t.Logf("%d attacks in %d groups", n, len(groups))

	security, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, threats, ok := strings.Cut(string(security), "| --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("SECURITY.md has no table of threats")
	}
	seen := 0
	for line := range strings.Lines(threats) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			break
		}
		seen++
		for name := range strings.SplitSeq(cells[3], ";") {
			if name = strings.TrimSpace(name); !groups[name] {
				t.Errorf("SECURITY.md names the attacks %q, which are not listed", name)
			}
		}
	}
	if seen < 7 {
		t.Errorf("SECURITY.md has %d threats", seen)
	}
}
