// Package idp tests memgate with tokens of a certified OpenID provider: the package
// oidc-provider from npm, which tools/node.sh fetches.
package idp

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// scopes of a caller that may do everything.
const scopes = "memory:read memory:write"

// provider is a running oidc-provider.
type provider struct {
	*harness.Process
	url, address, node string
	t                  harness.T
}

// nodeFolder is where tools/node.sh has put oidc-provider.
func nodeFolder(t *testing.T) string {
	t.Helper()
	harness.OnPath(t, "node")
	return harness.Fetched(t, "MEMGATE_NODE", "node", "tools/node.sh", "node_modules", "oidc-provider")
}

// startProvider runs the provider until the test ends.
func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{node: nodeFolder(t), address: harness.FreeAddress(t), t: t}
	p.url = "http://" + p.address
	p.start()
	return p
}

func (p *provider) start() {
	p.t.Helper()
	p.Process = harness.Start(p.t, "oidc-provider", []string{"MEMGATE_NODE=" + p.node}, "node", "e2e/idp/provider.mjs", p.address)
	p.WaitReady(p.url + "/.well-known/openid-configuration")
}

// do makes the provider do something; see provider.mjs.
func (p *provider) do(what string) {
	p.t.Helper()
	response, err := http.Get(p.url + "/control/" + what)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		p.t.Fatalf("control/%s: %s", what, response.Status)
	}
}

// token is an access token that the provider issued to a client, signed with alg.
// Headers go with the request for it.
func (p *provider) token(client, alg string, headers ...string) (token, kind string) {
	p.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scopes},
		"resource": {"https://" + strings.ToLower(alg) + ".resource.test"},
	}
	request, err := http.NewRequest(http.MethodPost, p.url+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	request.SetBasicAuth(client, "the-secret-of-"+client+"-in-the-tests")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	var answer struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		p.t.Fatalf("no token: %s %s", response.Status, text)
	}
	return answer.Token, answer.Type
}

// bearer is a token that is not bound to anything.
func (p *provider) bearer(client, alg string) string {
	p.t.Helper()
	token, kind := p.token(client, alg)
	if kind != "Bearer" {
		p.t.Fatalf("a token of type %s", kind)
	}
	return token
}

// accepting is a policy's issuers with the provider among them.
func (p *provider) accepting(members string) func(string) string {
	return func(yaml string) string {
		const after = "      tenant: { claim: org_id }\n"
		return strings.Replace(yaml, after, after+"    - { issuer: \""+p.url+"\", audiences: [memory], typ: at+jwt, algorithms: [ES256, RS256, EdDSA], tenant: { claim: org_id }, "+members+" }\n", 1)
	}
}

// list asks for the agents of a token's tenant.
func list(t *testing.T, s *harness.Stack, token string) *harness.Response {
	t.Helper()
	return s.JSON(t, "GET", "/api/v2/agents", token, "")
}
